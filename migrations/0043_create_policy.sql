-- What may run is written down as documents, and every decision by them is kept with all that it was made of.
-- Safe under load: new tables, columns of which old rows need no rewrite, and an index of the ledger's platforms, for which builds
-- that end in that second wait.

CREATE TABLE policy_documents (
    version int PRIMARY KEY,                           -- 1, 2, 3 …; never changed, only another one is made active
    body jsonb NOT NULL,                               -- {version: 1, rules: [{kind, tiers, …}]} (docs/policy.md)
    is_active boolean NOT NULL DEFAULT false,
    note text NOT NULL,                                -- why, in the words of who wrote it
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    activated_by text NOT NULL DEFAULT '',             -- of the last time; empty: never
    activated_at timestamptz
);
CREATE UNIQUE INDEX policy_documents_active_idx ON policy_documents (is_active) WHERE is_active;

-- No reference to servers and deployments, which they outlive.
CREATE TABLE runtime_policy_decisions (
    id bigserial PRIMARY KEY,
    server_id bigint NOT NULL,
    deployment_id bigint,
    purpose text NOT NULL CHECK (purpose IN ('serve', 'candidate', 'build', 'keep')),
    decided_at timestamptz NOT NULL,
    document_version int REFERENCES policy_documents,  -- NULL: none was active
    verdict text NOT NULL CHECK (verdict IN ('launch', 'build', 'hold-evaluation', 'hold-governance', 'refuse')),
    backend text NOT NULL,                             -- by what it is run; empty: by nothing
    candidate_backend text NOT NULL,                   -- by what it was to be run; the notes say why another was taken
    executor_name text NOT NULL,
    image text NOT NULL,
    build_required boolean NOT NULL,
    capability_requirements jsonb NOT NULL,
    capabilities_satisfied boolean NOT NULL,
    manifest_digest text,                              -- by which it is certified and promoted; NULL: it has none yet
    artifact_run_id bigint,
    tier text NOT NULL,
    evaluation_required boolean NOT NULL,
    governance_required boolean NOT NULL,
    ends_running boolean NOT NULL,                     -- what ran already had to end
    reuses int,                                        -- number of the deployment whose image was taken instead of a build
    notes jsonb NOT NULL,
    actions jsonb NOT NULL,                            -- what the reader can do next
    reason text NOT NULL,
    facts jsonb NOT NULL,                              -- all that it was made of: the same facts and document make it again
    fingerprint text NOT NULL                          -- of the facts without their moment: a hold that nothing changed is one row
);
CREATE INDEX runtime_policy_decisions_server_idx ON runtime_policy_decisions (server_id, id DESC);
CREATE INDEX runtime_policy_decisions_deployment_idx ON runtime_policy_decisions (deployment_id, id DESC);
CREATE INDEX runtime_policy_decisions_digest_idx ON runtime_policy_decisions (manifest_digest, id DESC) WHERE manifest_digest IS NOT NULL;

CREATE TABLE policy_holds (
    deployment_id bigint PRIMARY KEY REFERENCES deployments ON DELETE CASCADE,
    server_id bigint NOT NULL REFERENCES servers ON DELETE CASCADE,
    decision_id bigint NOT NULL,                       -- that holds it, as it was made last
    verdict text NOT NULL CHECK (verdict IN ('hold-evaluation', 'hold-governance', 'refuse')),
    digest text,
    since timestamptz NOT NULL,
    ends_running boolean NOT NULL                      -- an instance of it that runs has to end
);
CREATE INDEX policy_holds_server_idx ON policy_holds (server_id);
CREATE INDEX policy_holds_digest_idx ON policy_holds (digest) WHERE digest IS NOT NULL;

ALTER TABLE instances
    ADD COLUMN purpose text NOT NULL DEFAULT 'serve',  -- candidate: of a held deployment, to be evaluated; no client is sent there
    ADD COLUMN decision_id bigint;                     -- by which it was started; NULL: before there were decisions

-- What was never pushed is known by the engine's id of its image.
CREATE INDEX build_artifact_platforms_image_idx ON build_artifact_platforms (image_id) WHERE image_id <> '';
