-- What each instance was kept apart by, whether anybody attested it, and what became of it. Safe under load: only new tables.

CREATE TABLE runtime_vm_instances (
    id bigserial PRIMARY KEY,
    server_id bigint NOT NULL REFERENCES servers ON DELETE CASCADE,
    deployment_id bigint NOT NULL,
    decision_id bigint,                                -- by which it was started; NULL: before there were decisions
    purpose text NOT NULL,
    executor text NOT NULL,
    name text NOT NULL,
    container_id text NOT NULL,
    isolation_tier text NOT NULL,                      -- standard, sandboxed, vm; unknown: the executor does not say
    runtime text NOT NULL,                             -- as the executor calls it: runc, runsc, kata, …; empty: it does not say
    image_id text NOT NULL,
    attestation_status text NOT NULL,                  -- unsupported, pending, trusted, untrusted
    attestation_detail text NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,                              -- NULL: it runs
    UNIQUE (container_id, started_at)
);
CREATE INDEX runtime_vm_instances_server_idx ON runtime_vm_instances (server_id, id DESC);
CREATE INDEX runtime_vm_instances_running_idx ON runtime_vm_instances (server_id) WHERE ended_at IS NULL;

CREATE TABLE runtime_vm_events (
    id bigserial PRIMARY KEY,
    vm_instance_id bigint NOT NULL REFERENCES runtime_vm_instances ON DELETE CASCADE,
    at timestamptz NOT NULL DEFAULT now(),
    event text NOT NULL,                               -- started, attestation, restarted, ended, removed
    detail text NOT NULL
);
CREATE INDEX runtime_vm_events_instance_idx ON runtime_vm_events (vm_instance_id, id);
