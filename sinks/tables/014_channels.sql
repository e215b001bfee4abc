-- Which channel group moved a visit, which one opened it, and what touched it in between; and until when a stage is snoozed.
--
-- The touches of a visit are columns of the row that closes it, as they are corrected, moved and taken back with it. In other rows the arrays are
-- empty and cost next to nothing.

ALTER TABLE stage_transitions
    ADD COLUMN IF NOT EXISTS channel_group LowCardinality(String) AFTER channel,
    ADD COLUMN IF NOT EXISTS first_channel_group LowCardinality(String) AFTER first_channel,
    ADD COLUMN IF NOT EXISTS touched_at Array(DateTime64(6, 'UTC')) AFTER rep,
    ADD COLUMN IF NOT EXISTS touch_channel_groups Array(LowCardinality(String)) AFTER touched_at,
    ADD COLUMN IF NOT EXISTS touch_campaigns Array(LowCardinality(String)) AFTER touch_channel_groups,
    ADD COLUMN IF NOT EXISTS touches_left_out UInt32 AFTER touch_campaigns;

ALTER TABLE prospects
    ADD COLUMN IF NOT EXISTS snoozed_until Nullable(DateTime64(6, 'UTC')) AFTER stalled_since;

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
