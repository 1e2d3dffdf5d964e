-- Times are unix milliseconds, durations milliseconds, hashes 32 bytes of BLAKE3, payloads JSON.
PRAGMA application_id=1414681174;

CREATE TABLE meta(
  k TEXT PRIMARY KEY,
  v INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- The epoch is raised at every opening for work and is the upper half of lease tokens, so that a
-- claim that a power failure undid can never share its token with a later one.
INSERT INTO meta(k, v) VALUES('epoch', 0);

CREATE TABLE tenant(
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  weight INTEGER NOT NULL DEFAULT 100 CHECK(weight BETWEEN 1 AND 10000),
  created_at INTEGER NOT NULL
) STRICT;

-- One row per process incarnation, never reused.
CREATE TABLE worker(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  incarnation TEXT NOT NULL UNIQUE,
  host TEXT NOT NULL,
  capacity TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'active' CHECK(state IN ('active', 'gone')),
  started_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL
) STRICT;

-- The unit of fair share: a tenant in a pool. `ready` and `running` follow task.state by trigger.
CREATE TABLE lane(
  pool TEXT NOT NULL,
  tenant_id INTEGER NOT NULL REFERENCES tenant(id),
  ready INTEGER NOT NULL DEFAULT 0 CHECK(ready >= 0),
  running INTEGER NOT NULL DEFAULT 0 CHECK(running >= 0),
  max_running INTEGER CHECK(max_running >= 0),
  vtime INTEGER NOT NULL DEFAULT 0 CHECK(vtime >= 0),
  paused INTEGER NOT NULL DEFAULT 0 CHECK(paused IN (0, 1)),
  PRIMARY KEY(pool, tenant_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX lane_pick ON lane(pool, vtime, tenant_id) WHERE ready > 0 AND paused = 0;

CREATE TABLE run(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id INTEGER NOT NULL REFERENCES tenant(id),
  name TEXT NOT NULL,
  idem_key TEXT,
  state TEXT NOT NULL DEFAULT 'active'
    CHECK(state IN ('active', 'succeeded', 'failed', 'cancelled')),
  open_tasks INTEGER NOT NULL DEFAULT 0 CHECK(open_tasks >= 0),
  failed_tasks INTEGER NOT NULL DEFAULT 0 CHECK(failed_tasks >= 0),
  next_seq INTEGER NOT NULL DEFAULT 1,
  error TEXT,
  cancel_at INTEGER,
  created_at INTEGER NOT NULL,
  finished_at INTEGER,
  UNIQUE(tenant_id, idem_key),
  CHECK((state = 'active') = (finished_at IS NULL)),
  CHECK(state = 'active' OR open_tasks = 0)
) STRICT;
CREATE INDEX run_name ON run(name);

-- Payloads stand apart from the rows that change often: an UPDATE rewrites its whole row.
CREATE TABLE run_io(
  run_id INTEGER PRIMARY KEY REFERENCES run(id) ON DELETE CASCADE,
  spec TEXT NOT NULL,
  output TEXT
) STRICT;

CREATE TABLE task(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,
  tenant_id INTEGER NOT NULL REFERENCES tenant(id),
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  pool TEXT NOT NULL,
  state TEXT NOT NULL CHECK(state IN ('blocked', 'scheduled', 'ready', 'running', 'succeeded',
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
  CHECK(state NOT IN ('scheduled', 'ready', 'running', 'succeeded') OR pending_deps = 0)
) STRICT;
CREATE INDEX task_ready ON task(pool, tenant_id, priority, ready_at, id) WHERE state = 'ready';
CREATE INDEX task_due ON task(ready_at) WHERE state = 'scheduled';
CREATE INDEX task_lease ON task(lease_until) WHERE state = 'running';
CREATE INDEX task_worker ON task(worker_id) WHERE state = 'running';

CREATE TABLE task_io(
  task_id INTEGER PRIMARY KEY REFERENCES task(id) ON DELETE CASCADE,
  input TEXT NOT NULL,
  output TEXT
) STRICT;

-- A child is always younger than its parents: there is no way to write down a cycle.
CREATE TABLE task_dep(
  parent_id INTEGER NOT NULL REFERENCES task(id) ON DELETE CASCADE,
  child_id INTEGER NOT NULL REFERENCES task(id) ON DELETE CASCADE,
  PRIMARY KEY(parent_id, child_id),
  CHECK(child_id > parent_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_dep_child ON task_dep(child_id);

CREATE TABLE attempt(
  task_id INTEGER NOT NULL REFERENCES task(id) ON DELETE CASCADE,
  token INTEGER NOT NULL,
  worker_id INTEGER NOT NULL REFERENCES worker(id),
  started_at INTEGER NOT NULL,
  ended_at INTEGER,
  outcome TEXT CHECK(outcome IN ('succeeded', 'failed', 'cancelled', 'lost', 'released')),
  error TEXT,
  PRIMARY KEY(task_id, token),
  CHECK((ended_at IS NULL) = (outcome IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE event(
  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,
  seq INTEGER NOT NULL,
  task_id INTEGER,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  data TEXT,
  PRIMARY KEY(run_id, seq)
) STRICT, WITHOUT ROWID;

-- A tenant's rows are its own, also where two tenants have the same file: one can neither see nor
-- keep alive what the other stored.
CREATE TABLE artifact(
  tenant_id INTEGER NOT NULL REFERENCES tenant(id),
  hash BLOB NOT NULL CHECK(length(hash) = 32),
  bytes INTEGER NOT NULL CHECK(bytes >= 0),
  media TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY(tenant_id, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE task_artifact(
  task_id INTEGER NOT NULL REFERENCES task(id) ON DELETE CASCADE,
  role TEXT NOT NULL CHECK(role IN ('uses', 'made')),
  slot TEXT NOT NULL,
  tenant_id INTEGER NOT NULL,
  hash BLOB NOT NULL,
  PRIMARY KEY(task_id, role, slot),
  FOREIGN KEY(tenant_id, hash) REFERENCES artifact(tenant_id, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_artifact_hash ON task_artifact(hash, tenant_id);

-- A lane that wakes up starts level with the lanes that are at work (or, when all rest, with the
-- one that was served most): who was away neither hoards credit nor pays for having been alone.
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
