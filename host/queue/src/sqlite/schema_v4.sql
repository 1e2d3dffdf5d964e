-- A failed attempt may leave something to the next one, and move the task to another pool. Where it came from is kept: a task
-- that somebody sets going again begins where it began.
ALTER TABLE task ADD COLUMN carry TEXT;
ALTER TABLE task ADD COLUMN home_pool TEXT;
ALTER TABLE task ADD COLUMN home_affinity TEXT;
