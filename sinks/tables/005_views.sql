-- What people read. A view is read with the rights of whoever migrated, so readers need none on the tables.

CREATE OR REPLACE VIEW conversion_facts
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    funnel, stage, entry_day, first_channel, first_campaign, currency,
    entered, moved_on, won, lost, expired, waiting, seconds_to_move_on, revenue
FROM conversion_cohorts;

-- One row a stage, in order. A stage that only older versions of the funnel have is shown while visits in it count.
CREATE OR REPLACE VIEW funnel
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
WITH
    stages AS
    (
        SELECT
            funnel,
            stage,
            argMax(position, funnel_version) AS position,
            argMax(team, funnel_version) AS team,
            max(funnel_version) AS newest
        FROM funnel_stages FINAL
        GROUP BY funnel, stage
    ),
    counted AS
    (
        SELECT
            funnel,
            stage,
            sum(entered) AS entered,
            sum(moved_on) AS moved_on,
            sum(won) AS won,
            sum(lost) AS lost,
            sum(expired) AS expired,
            sum(waiting) AS waiting,
            sum(furthest) AS furthest,
            sum(seconds_to_move_on) AS seconds_to_move_on,
            sumMapIf(map(currency, revenue), revenue != 0) AS revenue
        FROM conversion_cohorts
        GROUP BY funnel, stage
    )
SELECT
    funnel,
    position,
    stage,
    team,
    entered,
    sum(furthest) OVER (PARTITION BY funnel ORDER BY position DESC, stage DESC ROWS UNBOUNDED PRECEDING) AS reached,
    moved_on,
    won,
    lost,
    expired,
    waiting,
    seconds_to_move_on,
    revenue
FROM
(
    SELECT s.*, c.* EXCEPT (funnel, stage), newest = max(newest) OVER (PARTITION BY funnel) AS is_current
    FROM stages AS s
    LEFT JOIN counted AS c ON c.funnel = s.funnel AND c.stage = s.stage
)
WHERE is_current OR entered > 0
ORDER BY funnel, position, stage;

-- How long visits that moved on from a stage had been in it, from the first entry; in seconds.
CREATE OR REPLACE VIEW stage_velocity
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    c.funnel AS funnel,
    position,
    c.stage AS stage,
    c.moved_on AS moved_on,
    quantiles[1] AS median_seconds,
    quantiles[2] AS p75_seconds,
    quantiles[3] AS p90_seconds
FROM
(
    SELECT
        funnel,
        stage,
        sum(moved_on) AS moved_on,
        quantilesExactInclusiveArray(0.5, 0.75, 0.9)(each_seconds_to_move_on) AS quantiles
    FROM conversion_cohorts
    GROUP BY funnel, stage
) AS c
INNER JOIN
(
    SELECT funnel, stage, argMax(position, funnel_version) AS position
    FROM funnel_stages FINAL
    GROUP BY funnel, stage
) AS s ON s.funnel = c.funnel AND s.stage = c.stage
WHERE c.moved_on > 0
ORDER BY funnel, position, stage;

-- One prospect's story: SELECT * FROM journey_of(prospect = '...').
CREATE OR REPLACE VIEW journey_of
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    funnel, visit, step, kind, from_stage, to_stage, entered_at, seconds_in_from,
    channel, type, campaign, cause_source, cause_event_id,
    account_id, amount, currency, reason, rep, first_channel, first_campaign, visit_opened_at
FROM stage_transitions FINAL
WHERE prospect_id = {prospect:UUID}
ORDER BY funnel, visit, step;

-- Where prospects stand, one row a funnel and prospect that ever had a visit.
CREATE OR REPLACE VIEW standings
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    funnel, prospect_id, stage, visit, status, stage_entered_at, last_activity_at, account_id, stalled_since
FROM prospects FINAL;
