-- Who wants an instance of a deployment that is held, and for how long: while somebody does, the reconciler keeps one.
-- Safe under load: only a new table.

CREATE TABLE candidate_leases (
    id bigserial PRIMARY KEY,
    deployment_id bigint NOT NULL REFERENCES deployments ON DELETE CASCADE,
    server_id bigint NOT NULL REFERENCES servers ON DELETE CASCADE,
    holder text NOT NULL,                              -- evaluations.run 17
    until timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX candidate_leases_deployment_idx ON candidate_leases (deployment_id);
CREATE INDEX candidate_leases_server_idx ON candidate_leases (server_id);
CREATE INDEX candidate_leases_until_idx ON candidate_leases (until);
