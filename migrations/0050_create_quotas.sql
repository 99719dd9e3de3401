-- How much people and organisations may build and keep, and what they do of it. An owner is a person's number, or an
-- organisation's below zero, as builds are counted by; 0 is the box, for everybody of whom nothing else is said.
-- Safe under load: new tables.

CREATE TABLE quotas (
    owner_id bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('build_minutes', 'disk_mib')),
    amount bigint CHECK (amount >= 0),                 -- NULL: any
    set_by text NOT NULL,
    set_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner_id, kind)
);

-- Outlives the builds' rows: deleting a server gives no minutes back.
CREATE TABLE build_uses (
    build_id bigint NOT NULL,
    attempt integer NOT NULL,
    owner_id bigint NOT NULL,
    began_at timestamptz NOT NULL,                     -- when it had its turn, as the ledger says
    ended_at timestamptz,                              -- NULL: it runs, or the hub ended before it
    PRIMARY KEY (build_id, attempt)
);
CREATE INDEX build_uses_owner_id_idx ON build_uses (owner_id, began_at);

CREATE TABLE disk_uses (
    owner_id bigint PRIMARY KEY,
    images_bytes bigint NOT NULL,
    data_bytes bigint NOT NULL,
    uploads_bytes bigint NOT NULL,
    measured_at timestamptz NOT NULL
);
