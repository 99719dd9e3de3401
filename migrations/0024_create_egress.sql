-- Where servers may go, where they tried to, and whether that is enforced. Safe under load: only new tables.

CREATE TABLE egress_policies (
    server_id bigint PRIMARY KEY REFERENCES servers ON DELETE CASCADE,
    mode text NOT NULL CHECK (mode IN ('none', 'allow-list', 'open')),
    hosts jsonb NOT NULL,                              -- ["api.example.com:443"], what counts: chosen, declared, services
    private jsonb NOT NULL,                            -- those of hosts that may lead to private addresses
    learn boolean NOT NULL,
    declared jsonb NOT NULL,                           -- {"api.example.com:443": "where it was found"}
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION notify_egress() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('egress', '');
    RETURN NULL;
END $$;
CREATE TRIGGER egress_policies_notify AFTER INSERT OR UPDATE OR DELETE ON egress_policies
    FOR EACH STATEMENT EXECUTE FUNCTION notify_egress();

-- All that the egress process reads. It writes the two tables below and events of kind egress.denied, nothing else.
CREATE VIEW egress_rules AS SELECT server_id, mode, hosts, private, learn FROM egress_policies;

CREATE TABLE egress_attempts (
    server_id bigint NOT NULL REFERENCES servers ON DELETE CASCADE,
    allowed boolean NOT NULL,
    protocol text NOT NULL,                            -- tcp, udp, icmp, dns (a name that was only asked for), ip-NN
    port integer NOT NULL,                             -- 0: it has none
    destination text NOT NULL,                         -- as the server named it: a name, or an address
    reason text NOT NULL,                              -- why it was denied last
    attempts bigint NOT NULL,
    bytes_sent bigint NOT NULL,
    bytes_received bigint NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (server_id, allowed, protocol, port, destination)
);
CREATE INDEX egress_attempts_last_at_idx ON egress_attempts (last_at);

CREATE TABLE egress_state (
    id integer PRIMARY KEY CHECK (id = 1),
    enforced boolean NOT NULL,
    problem text NOT NULL,                             -- what is missing, as a sentence
    at timestamptz NOT NULL                            -- the process's last sign of life
);
