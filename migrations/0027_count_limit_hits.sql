-- How often each server ran into one of its limits, as the kernel counted. Safe under load: a new, empty table.

CREATE TABLE server_limit_hits (
    server_id bigint NOT NULL REFERENCES servers ON DELETE CASCADE,
    what text NOT NULL CHECK (what IN ('processes', 'memory', 'data')),
    times bigint NOT NULL,
    container_id text NOT NULL,                        -- that the counter is of; another one begins at 0
    counter bigint NOT NULL,
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (server_id, what)
);
