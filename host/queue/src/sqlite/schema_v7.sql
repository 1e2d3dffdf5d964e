-- A task can be done again with another input. What each success gave is kept as a take, so that a former one can be chosen
-- again; and one whose inputs have the same hash need not be made again, by whichever task of the tenant.
CREATE TABLE take(
  task_id INTEGER NOT NULL REFERENCES task(id) ON DELETE CASCADE,
  token INTEGER NOT NULL,
  tenant_id INTEGER NOT NULL REFERENCES tenant(id),
  memo BLOB CHECK(length(memo) = 32),
  input TEXT NOT NULL,
  output TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY(task_id, token)
) STRICT, WITHOUT ROWID;
CREATE INDEX take_memo ON take(tenant_id, memo, created_at) WHERE memo IS NOT NULL;

CREATE TABLE take_artifact(
  task_id INTEGER NOT NULL,
  token INTEGER NOT NULL,
  slot TEXT NOT NULL,
  tenant_id INTEGER NOT NULL,
  hash BLOB NOT NULL,
  PRIMARY KEY(task_id, token, slot),
  FOREIGN KEY(task_id, token) REFERENCES take(task_id, token) ON DELETE CASCADE,
  FOREIGN KEY(tenant_id, hash) REFERENCES artifact(tenant_id, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX take_artifact_hash ON take_artifact(hash, tenant_id);

-- Which take a task's output is; and how often a success was taken back for another: each of them is one more than the one
-- success that a task has.
ALTER TABLE task ADD COLUMN take INTEGER;
ALTER TABLE task ADD COLUMN redone INTEGER NOT NULL DEFAULT 0 CHECK(redone >= 0);

INSERT INTO take(task_id, token, tenant_id, input, output, created_at)
  SELECT t.id, t.lease_token, t.tenant_id, io.input, io.output, t.finished_at
    FROM task t JOIN task_io io ON io.task_id = t.id
   WHERE t.state = 'succeeded' AND io.output IS NOT NULL
     AND EXISTS (SELECT 1 FROM task_artifact a WHERE a.task_id = t.id AND a.role = 'made');
INSERT INTO take_artifact(task_id, token, slot, tenant_id, hash)
  SELECT a.task_id, k.token, a.slot, a.tenant_id, a.hash
    FROM take k JOIN task_artifact a ON a.task_id = k.task_id AND a.role = 'made';
UPDATE task SET take = lease_token WHERE id IN (SELECT task_id FROM take);
