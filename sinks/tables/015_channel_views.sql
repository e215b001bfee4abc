-- One row a closed visit: the touches on its way, sessions put together.
CREATE OR REPLACE VIEW visit_paths
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    funnel,
    prospect_id,
    visit,
    if(kind IN ('lost', 'expired'), toString(kind), 'won') AS status,
    visit_opened_at AS opened_at,
    entered_at AS closed_at,
    touched_at,
    touch_channel_groups AS channel_groups,
    touch_campaigns AS campaigns,
    touches_left_out AS left_out
FROM stage_transitions FINAL
WHERE notEmpty(touched_at) OR kind IN ('lost', 'expired');

CREATE OR REPLACE VIEW standings
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    funnel, prospect_id, stage, visit, status, stage_entered_at, last_activity_at, account_id, stalled_since, snoozed_until
FROM prospects FINAL;

-- One prospect's story: SELECT * FROM journey_of(prospect = '...').
CREATE OR REPLACE VIEW journey_of
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    funnel, visit, step, kind, from_stage, to_stage, entered_at, seconds_in_from,
    channel, channel_group, type, campaign, cause_source, cause_event_id,
    account_id, amount, currency, reason, rep, first_channel, first_channel_group, first_campaign, visit_opened_at
FROM stage_transitions FINAL
WHERE prospect_id = {prospect:UUID}
ORDER BY funnel, visit, step;
