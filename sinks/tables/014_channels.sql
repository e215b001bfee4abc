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
