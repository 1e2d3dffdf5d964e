-- A tenant is charged from when its task has its place: later than the claim for one that is prepared meanwhile, and not at
-- all while this is null. One that waits for its place does nothing, so that its worker's death is not its doing.
ALTER TABLE task ADD COLUMN charged_from INTEGER;
ALTER TABLE task ADD COLUMN waits INTEGER NOT NULL DEFAULT 0 CHECK(waits IN (0, 1));
UPDATE task SET charged_from = started_at WHERE state = 'running';

-- A start that was asked for, or a retry's delay: who is blocked or set going again meanwhile still waits for it.
ALTER TABLE task ADD COLUMN not_before INTEGER;
UPDATE task SET not_before = ready_at WHERE state = 'scheduled';

-- A run that is being forgotten bit by bit cannot be set going again.
ALTER TABLE run ADD COLUMN forgotten_at INTEGER;
