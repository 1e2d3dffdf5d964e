-- A tenant that wakes starts beside what the others have really used. What their running tasks were charged in advance is not
-- that: it is set right when they end, for their own tenant alone, and would stay with whoever had started beside it.
CREATE INDEX task_running ON task(pool, tenant_id, est_cost_ms) WHERE state = 'running';

DROP TRIGGER task_lane_insert;
DROP TRIGGER task_lane_update;

-- 10000 is the virtual time of a millisecond at weight 1.
CREATE TRIGGER task_lane_insert AFTER INSERT ON task WHEN new.state = 'ready' BEGIN
  INSERT INTO lane(pool, tenant_id, vtime) SELECT new.pool, new.tenant_id,
    (SELECT coalesce(min(max(0, other.vtime - CASE other.running WHEN 0 THEN 0 ELSE 10000 *
                               (SELECT coalesce(sum(est_cost_ms), 0) FROM task
                                 WHERE state = 'running' AND pool = other.pool AND tenant_id = other.tenant_id)
                               / (SELECT weight FROM tenant WHERE id = other.tenant_id) END))
                       FILTER (WHERE (other.ready > 0 OR other.running > 0) AND other.paused = 0
                                 AND (other.max_running IS NULL OR other.running < other.max_running)),
                     max(other.vtime), 0)
       FROM lane AS other WHERE other.pool = new.pool)
    WHERE NOT EXISTS (SELECT 1 FROM lane WHERE pool = new.pool AND tenant_id = new.tenant_id AND (ready > 0 OR running > 0))
  ON CONFLICT DO UPDATE SET vtime = max(vtime, excluded.vtime);
  UPDATE lane SET ready = ready + 1 WHERE pool = new.pool AND tenant_id = new.tenant_id;
END;
CREATE TRIGGER task_lane_update AFTER UPDATE OF state ON task
WHEN old.state <> new.state
 AND (old.state IN ('ready', 'running') OR new.state IN ('ready', 'running')) BEGIN
  INSERT INTO lane(pool, tenant_id, vtime) SELECT new.pool, new.tenant_id,
    (SELECT coalesce(min(max(0, other.vtime - CASE other.running WHEN 0 THEN 0 ELSE 10000 *
                               (SELECT coalesce(sum(est_cost_ms), 0) FROM task
                                 WHERE state = 'running' AND pool = other.pool AND tenant_id = other.tenant_id)
                               / (SELECT weight FROM tenant WHERE id = other.tenant_id) END))
                       FILTER (WHERE (other.ready > 0 OR other.running > 0) AND other.paused = 0
                                 AND (other.max_running IS NULL OR other.running < other.max_running)),
                     max(other.vtime), 0)
       FROM lane AS other WHERE other.pool = new.pool)
    WHERE new.state = 'ready'
      AND NOT EXISTS (SELECT 1 FROM lane WHERE pool = new.pool AND tenant_id = new.tenant_id AND (ready > 0 OR running > 0))
  ON CONFLICT DO UPDATE SET vtime = max(vtime, excluded.vtime);
  UPDATE lane SET
    ready = ready + (new.state = 'ready') - (old.state = 'ready'),
    running = running + (new.state = 'running') - (old.state = 'running')
  WHERE pool = new.pool AND tenant_id = new.tenant_id;
END;
