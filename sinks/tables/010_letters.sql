-- What people did about a dead letter: '' (it waits), 'retried' or 'dropped'. A letter that is refused again is written anew, and waits again.
ALTER TABLE dead_letters ADD COLUMN IF NOT EXISTS outcome LowCardinality(String) DEFAULT '';
