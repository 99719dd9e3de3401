-- The ledger of what was built: one row for each attempt at a build that ended, however it ended. Safe under load: only new tables.
-- No reference to servers, which it outlives. Rows are only added; each carries the hash of the one before, so that a change shows.

CREATE TABLE build_artifact_runs (
    id bigint PRIMARY KEY,                             -- 1, 2, 3 … without a gap: a row that is missing shows
    prev_hash text NOT NULL,                           -- row_hash of the run before; 64 zeros before the first
    row_hash text NOT NULL,                            -- sha256, hex, of this row and its platforms (appliance/artifacts/chain.py)
    build_id bigint NOT NULL,
    attempt int NOT NULL,
    deployment_id bigint NOT NULL,
    server_id bigint NOT NULL,
    server_name text NOT NULL,
    server_type text NOT NULL,
    owner_id bigint,                                   -- NULL: the server was gone before its build ended
    source jsonb NOT NULL,                             -- as the server has it: {kind: package|git|image|remote, …}
    source_kind text NOT NULL,
    source_repo text NOT NULL,                         -- repository, package, image or address
    source_branch text NOT NULL,
    source_revision text NOT NULL,                     -- commit, version or digest that was built; empty: never known
    local_image text NOT NULL,
    registry_image text NOT NULL,                      -- host/namespace/name; empty: not pushed
    manifest_tag text NOT NULL,
    manifest_digest text,
    is_multi_arch boolean NOT NULL,
    targets jsonb NOT NULL,                            -- platforms that were wanted then
    auth_refresh_attempted boolean NOT NULL,
    auth_refresh_succeeded boolean NOT NULL,
    auth_rotation_attempted boolean NOT NULL,
    auth_rotation_succeeded boolean NOT NULL,
    credential_health_status text NOT NULL,            -- empty: nothing was pushed
    shortcomings jsonb NOT NULL,                       -- what this box's builder could not do, in words
    status text NOT NULL CHECK (status IN ('succeeded', 'failed', 'cancelled')),
    error text NOT NULL,
    started_at timestamptz NOT NULL,
    completed_at timestamptz NOT NULL,
    UNIQUE (build_id, attempt)
);
CREATE INDEX build_artifact_runs_server_idx ON build_artifact_runs (server_id, id DESC);
CREATE INDEX build_artifact_runs_digest_idx ON build_artifact_runs (manifest_digest) WHERE manifest_digest IS NOT NULL;

CREATE TABLE build_artifact_platforms (
    run_id bigint NOT NULL REFERENCES build_artifact_runs,
    platform text NOT NULL,                            -- linux/arm64
    image_id text NOT NULL,                            -- the engine's, on this box; empty: not known
    image_reference text NOT NULL,                     -- host/namespace/name@sha256:…; empty: not pushed
    digest text,
    auth_refresh_attempted boolean NOT NULL,
    auth_refresh_succeeded boolean NOT NULL,
    auth_rotation_attempted boolean NOT NULL,
    auth_rotation_succeeded boolean NOT NULL,
    credential_health_status text NOT NULL,
    PRIMARY KEY (run_id, platform)
);
CREATE INDEX build_artifact_platforms_digest_idx ON build_artifact_platforms (digest) WHERE digest IS NOT NULL;

-- The end of the chain: whoever appends locks it, and runs that vanish from the end show.
CREATE TABLE build_artifact_chain (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    runs bigint NOT NULL,
    head_hash text NOT NULL,
    checked_at timestamptz,                            -- when every row was last compared with its hash
    problem text NOT NULL                              -- what was found wrong then; empty: nothing
);
INSERT INTO build_artifact_chain (runs, head_hash, problem) VALUES (0, repeat('0', 64), '');

CREATE FUNCTION refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: % on % is refused', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER build_artifact_runs_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON build_artifact_runs
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();
CREATE TRIGGER build_artifact_platforms_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON build_artifact_platforms
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();
