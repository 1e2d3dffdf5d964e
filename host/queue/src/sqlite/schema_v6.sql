-- How many runs of a tenant may be open at once; null is no limit. What waits costs room, and the planning of others.
ALTER TABLE tenant ADD COLUMN max_runs INTEGER CHECK(max_runs >= 0);
CREATE INDEX run_open ON run(tenant_id) WHERE finished_at IS NULL;
