-- A tenant that wakes starts beside those who can be served now. Lanes that are paused or at their limit stand still
-- meanwhile: starting beside them would give the newcomer all that they had not used.

DROP TRIGGER task_lane_insert;
DROP TRIGGER task_lane_update;

CREATE TRIGGER task_lane_insert AFTER INSERT ON task WHEN new.state = 'ready' BEGIN
  INSERT INTO lane(pool, tenant_id, ready, vtime) VALUES(new.pool, new.tenant_id, 1,
    (SELECT coalesce(min(vtime) FILTER (WHERE (ready > 0 OR running > 0) AND paused = 0
                                          AND (max_running IS NULL OR running < max_running)), max(vtime), 0)
       FROM lane WHERE pool = new.pool))
  ON CONFLICT DO UPDATE SET
    vtime = CASE WHEN ready = 0 AND running = 0 THEN max(vtime, excluded.vtime) ELSE vtime END,
    ready = ready + 1;
END;
CREATE TRIGGER task_lane_update AFTER UPDATE OF state ON task
WHEN old.state <> new.state
 AND (old.state IN ('ready', 'running') OR new.state IN ('ready', 'running')) BEGIN
  INSERT INTO lane(pool, tenant_id, vtime) SELECT new.pool, new.tenant_id,
    (SELECT coalesce(min(vtime) FILTER (WHERE (ready > 0 OR running > 0) AND paused = 0
                                          AND (max_running IS NULL OR running < max_running)), max(vtime), 0)
       FROM lane WHERE pool = new.pool)
    WHERE new.state = 'ready'
  ON CONFLICT DO UPDATE SET
    vtime = CASE WHEN ready = 0 AND running = 0 THEN max(vtime, excluded.vtime) ELSE vtime END;
  UPDATE lane SET
    ready = ready + (new.state = 'ready') - (old.state = 'ready'),
    running = running + (new.state = 'running') - (old.state = 'running')
  WHERE pool = new.pool AND tenant_id = new.tenant_id;
END;
