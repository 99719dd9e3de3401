-- What servers use of the box, in spans of 10 s for an hour, of a minute for a day and of ten minutes for 30 days.
-- Safe under load: only a new table.

CREATE TABLE server_samples (
    server_id bigint NOT NULL REFERENCES servers ON DELETE CASCADE,
    step_s int NOT NULL,                               -- 10, 60 or 600
    at timestamptz NOT NULL,                           -- when the span began
    cpu_s double precision NOT NULL,                               -- seconds of processor time
    memory_bytes bigint NOT NULL,                      -- the most at one moment
    received_bytes bigint NOT NULL,
    sent_bytes bigint NOT NULL,
    containers int NOT NULL,
    covered_s double precision NOT NULL,                           -- seconds of the span that were measured
    PRIMARY KEY (server_id, step_s, at)
);
-- Every minute the newest rows of all servers are put together, and the oldest go.
CREATE INDEX server_samples_step_idx ON server_samples (step_s, at);
