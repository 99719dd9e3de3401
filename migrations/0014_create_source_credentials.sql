-- With what a server's repository is fetched, sealed (appliance/infra/sealing.py). Safe under load: only a new table.

CREATE TABLE source_credentials (
    server_id bigint PRIMARY KEY REFERENCES servers ON DELETE CASCADE,
    kind text NOT NULL,                                -- token, deploy_key
    hint text NOT NULL,                                -- what may be shown: the user name, or the key's public half
    sealed bytea NOT NULL,
    known_hosts text NOT NULL DEFAULT '',              -- host keys seen at the first fetch; only those are accepted from then on
    updated_at timestamptz NOT NULL DEFAULT now()
);
