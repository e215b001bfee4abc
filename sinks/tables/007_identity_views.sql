-- Identity, for readers.

CREATE OR REPLACE VIEW aliases
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT old_id, new_id, since
FROM prospect_aliases FINAL;

-- Where an old id ended up: one row for each id that goes on. A device that went on to several people (a shared laptop) counts for the latest.
-- A way has a few steps (device, phone, email, user_id, and user_ids that stand for others); 32 are far more than there should be, and end a circle.
CREATE OR REPLACE VIEW prospect_now
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
WITH RECURSIVE
    next AS
    (
        SELECT old_id AS from_id, argMax(new_id, (since, new_id)) AS to_id
        FROM prospect_aliases FINAL
        GROUP BY old_id
    ),
    ways AS
    (
        SELECT from_id AS old_id, to_id AS current_id, 1 AS steps
        FROM next
        UNION ALL
        SELECT ways.old_id AS old_id, next.to_id AS current_id, ways.steps + 1 AS steps
        FROM ways
        INNER JOIN next ON next.from_id = ways.current_id
        WHERE ways.steps < 32
    )
SELECT old_id, argMax(current_id, steps) AS current_id
FROM ways
GROUP BY old_id;

-- Identifiers that were seen with too many different people to be anybody's.
CREATE OR REPLACE VIEW shared
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT identifier, kind, seen_with
FROM shared_identifiers FINAL;
