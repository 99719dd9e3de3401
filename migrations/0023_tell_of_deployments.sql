-- By what a deployment was started, which earlier one it is made of, when it served, and whether what runs is what was wanted; and
-- locks. Safe under load: columns with constant defaults, a check that reads a few rows a server, and a new table.

ALTER TABLE deployments
    ADD COLUMN trigger text NOT NULL DEFAULT 'redeploy',
    ADD COLUMN made_of int,                            -- number of the deployment whose image it takes; null: its own build
    ADD COLUMN live_at timestamptz,                    -- when clients were first sent to it
    ADD COLUMN wanted_digest text NOT NULL DEFAULT '', -- id of the image that should run, as the executor resolves it
    ADD COLUMN running_digest text NOT NULL DEFAULT '',
    ADD COLUMN compared_at timestamptz,
    DROP CONSTRAINT deployments_state_check,
    ADD CONSTRAINT deployments_state_check
        CHECK (state IN ('pending', 'live', 'superseded', 'failed', 'cancelled', 'rolled-back'));
UPDATE deployments SET live_at = finished_at WHERE state = 'live';

CREATE TABLE deploy_locks (
    server_id bigint PRIMARY KEY REFERENCES servers ON DELETE CASCADE,
    reason text NOT NULL,
    locked_by text NOT NULL,
    locked_at timestamptz NOT NULL DEFAULT now()
);
