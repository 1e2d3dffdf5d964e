-- Runs can be paused, attempts have deadlines, pools have a switch. SQLite cannot change a CHECK in place, so `task` is
-- written anew; foreign keys are off while this runs and checked before it is committed.

ALTER TABLE run ADD COLUMN paused_at INTEGER;
-- Whose end is long ago is pruned first.
CREATE INDEX run_over ON run(finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE pool(
  name TEXT PRIMARY KEY,
  paused INTEGER NOT NULL CHECK(paused IN (0, 1))
) STRICT, WITHOUT ROWID;

-- A lane at its limit leaves the index: a claim never looks at it, however many there are.
DROP INDEX lane_pick;
CREATE INDEX lane_pick ON lane(pool, vtime, tenant_id)
  WHERE ready > 0 AND paused = 0 AND (max_running IS NULL OR running < max_running);

CREATE TABLE task_v2(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,
  tenant_id INTEGER NOT NULL REFERENCES tenant(id),
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  pool TEXT NOT NULL,
  state TEXT NOT NULL CHECK(state IN ('blocked', 'scheduled', 'paused', 'ready', 'running', 'succeeded',
                                      'failed', 'cancelled', 'skipped')),
  priority INTEGER NOT NULL,
  ready_at INTEGER NOT NULL,
  pending_deps INTEGER NOT NULL DEFAULT 0 CHECK(pending_deps >= 0),
  on_dep_failure TEXT NOT NULL CHECK(on_dep_failure IN ('skip', 'run')),
  failures INTEGER NOT NULL DEFAULT 0 CHECK(failures >= 0),
  max_attempts INTEGER NOT NULL CHECK(max_attempts >= 1),
  lost INTEGER NOT NULL DEFAULT 0 CHECK(lost >= 0),
  lease_token INTEGER NOT NULL DEFAULT 0,
  worker_id INTEGER REFERENCES worker(id),
  lease_until INTEGER,
  cancel_at INTEGER,
  deadline_ms INTEGER CHECK(deadline_ms >= 1),
  est_cost_ms INTEGER NOT NULL CHECK(est_cost_ms >= 1),
  affinity TEXT,
  progress TEXT,
  error TEXT,
  created_at INTEGER NOT NULL,
  started_at INTEGER,
  finished_at INTEGER,
  UNIQUE(run_id, name),
  CHECK((state = 'running') = (worker_id IS NOT NULL)),
  CHECK((state = 'running') = (lease_until IS NOT NULL)),
  CHECK((state IN ('succeeded', 'failed', 'cancelled', 'skipped')) = (finished_at IS NOT NULL)),
  CHECK(state NOT IN ('scheduled', 'paused', 'ready', 'running', 'succeeded') OR pending_deps = 0)
) STRICT;

INSERT INTO task_v2(id, run_id, tenant_id, name, kind, pool, state, priority, ready_at, pending_deps, on_dep_failure,
                    failures, max_attempts, lost, lease_token, worker_id, lease_until, cancel_at, est_cost_ms, affinity,
                    progress, error, created_at, started_at, finished_at)
  SELECT id, run_id, tenant_id, name, kind, pool, state, priority, ready_at, pending_deps, on_dep_failure,
         failures, max_attempts, lost, lease_token, worker_id, lease_until, cancel_at, est_cost_ms, affinity,
         progress, error, created_at, started_at, finished_at FROM task;
-- A number is never used again, also when the newest task is gone.
UPDATE sqlite_sequence SET seq = (SELECT seq FROM sqlite_sequence WHERE name = 'task')
 WHERE name = 'task_v2' AND EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'task');
DROP TABLE task;
ALTER TABLE task_v2 RENAME TO task;

CREATE INDEX task_ready ON task(pool, tenant_id, priority, ready_at, id) WHERE state = 'ready';
-- What suits a loaded model, at once, however long the line.
CREATE INDEX task_affine ON task(pool, tenant_id, affinity, priority, ready_at, id)
  WHERE state = 'ready' AND affinity IS NOT NULL;
CREATE INDEX task_due ON task(ready_at) WHERE state = 'scheduled';
CREATE INDEX task_lease ON task(lease_until) WHERE state = 'running';
CREATE INDEX task_worker ON task(worker_id) WHERE state = 'running';

-- The triggers went with the table; they are as they were.
CREATE TRIGGER task_lane_insert AFTER INSERT ON task WHEN new.state = 'ready' BEGIN
  INSERT INTO lane(pool, tenant_id, ready, vtime) VALUES(new.pool, new.tenant_id, 1,
    (SELECT coalesce(min(vtime) FILTER (WHERE ready > 0 OR running > 0), max(vtime), 0)
       FROM lane WHERE pool = new.pool))
  ON CONFLICT DO UPDATE SET
    vtime = CASE WHEN ready = 0 AND running = 0 THEN max(vtime, excluded.vtime) ELSE vtime END,
    ready = ready + 1;
END;
CREATE TRIGGER task_lane_update AFTER UPDATE OF state ON task
WHEN old.state <> new.state
 AND (old.state IN ('ready', 'running') OR new.state IN ('ready', 'running')) BEGIN
  INSERT INTO lane(pool, tenant_id, vtime) SELECT new.pool, new.tenant_id,
    (SELECT coalesce(min(vtime) FILTER (WHERE ready > 0 OR running > 0), max(vtime), 0)
       FROM lane WHERE pool = new.pool)
    WHERE new.state = 'ready'
  ON CONFLICT DO UPDATE SET
    vtime = CASE WHEN ready = 0 AND running = 0 THEN max(vtime, excluded.vtime) ELSE vtime END;
  UPDATE lane SET
    ready = ready + (new.state = 'ready') - (old.state = 'ready'),
    running = running + (new.state = 'running') - (old.state = 'running')
  WHERE pool = new.pool AND tenant_id = new.tenant_id;
END;
