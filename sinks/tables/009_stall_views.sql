-- Who is stalled now, for how long, and whom to ask: the team of the stage, and who of it spoke to them last in this visit.
CREATE OR REPLACE VIEW stalled
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
WITH
    now_stalled AS
    (
        SELECT funnel, prospect_id, stage, visit, stalled_since, stage_entered_at, last_activity_at, account_id
        FROM prospects FINAL
        WHERE stalled_since IS NOT NULL
    ),
    moves AS
    (
        SELECT
            funnel,
            prospect_id,
            visit,
            argMaxIf(t.rep, step, t.rep != '') AS rep,
            argMaxIf(t.amount, step, t.amount != 0) AS amount,
            argMaxIf(t.currency, step, t.amount != 0) AS currency,
            argMax(channel, step) AS last_channel,
            argMax(type, step) AS last_type
        FROM stage_transitions AS t FINAL
        WHERE (funnel, prospect_id) IN (SELECT funnel, prospect_id FROM now_stalled)
        GROUP BY funnel, prospect_id, visit
    ),
    stages AS
    (
        SELECT funnel, stage, argMax(team, funnel_version) AS team
        FROM funnel_stages FINAL
        GROUP BY funnel, stage
    ),
    episodes AS
    (
        -- A late response may have the same deadline; it is not escalated.
        SELECT funnel, prospect_id, visit, stage, deadline, max(level) AS level
        FROM stalls FINAL
        WHERE resolved_at IS NULL
        GROUP BY funnel, prospect_id, visit, stage, deadline
    )
SELECT
    p.funnel AS funnel,
    p.prospect_id AS prospect_id,
    p.stage AS stage,
    s.team AS team,
    m.rep AS rep,
    p.stalled_since AS stalled_since,
    dateDiff('second', p.stalled_since, now64(6, 'UTC')) AS stalled_for_seconds,
    e.level AS escalated,
    p.last_activity_at AS last_activity_at,
    p.stage_entered_at AS stage_entered_at,
    m.last_channel AS last_channel,
    m.last_type AS last_type,
    p.account_id AS account_id,
    m.amount AS amount,
    m.currency AS currency,
    p.visit AS visit
FROM now_stalled AS p
LEFT JOIN moves AS m ON m.funnel = p.funnel AND m.prospect_id = p.prospect_id AND m.visit = p.visit
LEFT JOIN stages AS s ON s.funnel = p.funnel AND s.stage = p.stage
LEFT JOIN episodes AS e
    ON e.funnel = p.funnel AND e.prospect_id = p.prospect_id AND e.visit = p.visit AND e.stage = p.stage AND e.deadline = p.stalled_since
ORDER BY stalled_since, funnel, prospect_id;
