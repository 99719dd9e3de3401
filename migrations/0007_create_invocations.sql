-- Every MCP call as a row, in partitions of a day, and how far the scribe has read its spools. Safe under load: only new tables.

CREATE SEQUENCE invocations_id_seq;
CREATE TABLE invocations (
    id bigint NOT NULL DEFAULT nextval('invocations_id_seq'),
    started_at timestamptz NOT NULL,
    duration_ms double precision NOT NULL,
    server_id bigint NOT NULL,                         -- no reference: traces go by retention, not with their server; 0: none
    bundle_id bigint,                                  -- through which it came
    deployment_id bigint,
    principal text NOT NULL,                           -- server:12 (its endpoint key), user:5, bundle:3, hub
    method text NOT NULL,                              -- of JSON-RPC, or of HTTP where there is none
    target text NOT NULL,                              -- tool, prompt or resource; else empty
    http_status int NOT NULL,
    error_class text NOT NULL,                         -- empty: it went well
    rpc_code int,
    request_bytes bigint NOT NULL,
    response_bytes bigint NOT NULL,
    traceparent text NOT NULL,
    request text,                                      -- the first bytes, redacted; null: not kept
    response text,
    PRIMARY KEY (id, started_at)
) PARTITION BY RANGE (started_at);
ALTER SEQUENCE invocations_id_seq OWNED BY invocations.id;

CREATE INDEX invocations_server_idx ON invocations (server_id, started_at DESC, id DESC);
-- What went wrong is looked for most, and is rare.
CREATE INDEX invocations_errors_idx ON invocations (server_id, started_at DESC, id DESC) WHERE error_class <> '';
CREATE INDEX invocations_bundle_idx ON invocations (bundle_id, started_at DESC, id DESC) WHERE bundle_id IS NOT NULL;

-- Takes in what no day was made for; the hub's clock makes the days and moves what lies here.
CREATE TABLE invocations_default PARTITION OF invocations DEFAULT;

-- Written in the transaction that copies a piece of a spool, so that no piece is copied twice.
CREATE TABLE invocation_spools (
    segment text PRIMARY KEY,
    position bigint NOT NULL,                          -- bytes of the file that are rows already
    updated_at timestamptz NOT NULL
);
