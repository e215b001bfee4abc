-- One row a hand-off, with what came of it so far. A visit that nobody decided can only have expired.
CREATE OR REPLACE VIEW handoffs
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
WITH
    told AS
    (
        SELECT
            funnel,
            prospect_id,
            visit,
            step,
            anyIf(t.stage, part = 0) AS stage,
            anyIf(t.from_team, part = 0) AS from_team,
            anyIf(t.to_team, part = 0) AS to_team,
            anyIf(t.occurred_at, part = 0) AS handed_at,
            anyIf(t.channel, part = 0) AS channel,
            anyIf(t.type, part = 0) AS type,
            anyIf(t.campaign, part = 0) AS campaign,
            anyIf(t.first_campaign, part = 0) AS first_campaign,
            anyIf(t.account_id, part = 0) AS account_id,
            anyIf(t.respond_by, part = 0) AS respond_by,
            anyIf(toNullable(t.occurred_at), part = 1) AS first_touch_at,
            anyIf(t.type, part = 1) AS first_touch_type,
            anyIf(t.outcome, part = 1) AS first_touch_outcome,
            anyIf(t.rep, part = 1) AS first_touch_rep,
            anyIf(t.decision, part = 2) AS decision,
            anyIf(toNullable(t.occurred_at), part = 2) AS decided_at,
            anyIf(t.reason, part = 2) AS reason,
            anyIf(t.rep, part = 2) AS rep
        FROM handoff_parts AS t FINAL
        GROUP BY funnel, prospect_id, visit, step
        HAVING countIf(part = 0) = 1
    ),
    ends AS
    (
        SELECT funnel, prospect_id, visit, toNullable(entered_at) AS expired_at
        FROM stage_transitions FINAL
        WHERE kind = 'expired'
    )
SELECT
    h.funnel AS funnel,
    h.prospect_id AS prospect_id,
    h.visit AS visit,
    h.step AS step,
    h.stage AS stage,
    h.from_team AS from_team,
    h.to_team AS to_team,
    h.handed_at AS handed_at,
    h.channel AS channel,
    h.type AS type,
    h.campaign AS campaign,
    h.first_campaign AS first_campaign,
    h.account_id AS account_id,
    h.first_touch_at AS first_touch_at,
    dateDiff('microsecond', h.handed_at, h.first_touch_at) / 1e6 AS seconds_to_first_touch,
    h.first_touch_type AS first_touch_type,
    h.first_touch_outcome AS first_touch_outcome,
    h.first_touch_rep AS first_touch_rep,
    multiIf(h.decision != '', toString(h.decision), e.expired_at IS NOT NULL, 'expired', 'waiting') AS outcome,
    coalesce(h.decided_at, e.expired_at) AS outcome_at,
    h.reason AS reason,
    h.rep AS rep,
    h.respond_by AS respond_by,
    multiIf(
        h.respond_by IS NULL, NULL,
        h.first_touch_at < h.respond_by, true,
        coalesce(h.first_touch_at, h.decided_at, e.expired_at, now64(6, 'UTC')) >= h.respond_by, false,
        NULL) AS in_time
FROM told AS h
LEFT JOIN ends AS e ON e.funnel = h.funnel AND e.prospect_id = h.prospect_id AND e.visit = h.visit
ORDER BY handed_at, funnel, prospect_id, step;

-- Who was handed over, and waits for a first touch longer than the stage allows.
CREATE OR REPLACE VIEW unanswered
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    funnel, prospect_id, visit, stage, to_team AS team, handed_at, respond_by,
    dateDiff('second', respond_by, now64(6, 'UTC')) AS late_by_seconds,
    campaign, first_campaign, account_id
FROM handoffs
WHERE outcome = 'waiting' AND first_touch_at IS NULL AND in_time = false
ORDER BY respond_by, funnel, prospect_id;
