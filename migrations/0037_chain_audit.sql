-- The trail says more of each attempt, and shows when somebody changed it: rows are only added, and chained by hash.
-- Safe under load: columns without a value on old rows need no rewrite, the indexes are built over one row a write of the past.
-- Rows are chained after they were committed (seq), by one process at a time, so that no write waits for another's place.

ALTER TABLE audit_events
    ADD COLUMN via text NOT NULL DEFAULT '',           -- session, api_key, token, system; none: nobody known; empty: not kept then
    ADD COLUMN credential_id bigint,                   -- of the session, the key or the grant
    ADD COLUMN reason text NOT NULL DEFAULT '',        -- why, in the words of who did it
    ADD COLUMN before jsonb,                           -- what changed, as it was and as it is; secrets hidden
    ADD COLUMN after jsonb,
    ADD COLUMN seq bigint,                             -- its place in the chain, 1, 2, 3 … without a gap; NULL: not chained yet
    ADD COLUMN prev_hash text,                         -- row_hash of the place before; 64 zeros before the first
    ADD COLUMN row_hash text;                          -- sha256, hex, of this row (appliance/observability/audit_chain.py)
CREATE UNIQUE INDEX audit_events_seq_idx ON audit_events (seq) WHERE seq IS NOT NULL;
CREATE INDEX audit_events_loose_idx ON audit_events (id) WHERE seq IS NULL;
CREATE INDEX audit_events_actor_idx ON audit_events (actor, id DESC);

CREATE TABLE audit_chain (
    id int PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    events bigint NOT NULL,                            -- seq of the last row
    head_hash text NOT NULL,                           -- its row_hash
    pruned bigint NOT NULL,                            -- seq of the last row that was old enough to go; 0: none was
    pruned_hash text NOT NULL,                         -- its row_hash, which the first row that is kept follows
    checked_at timestamptz,
    problem text NOT NULL DEFAULT ''                   -- what the last check found; empty: nothing
);
INSERT INTO audit_chain (events, head_hash, pruned, pruned_hash) VALUES (0, repeat('0', 64), 0, repeat('0', 64));

CREATE FUNCTION guard_audit_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.seq IS NULL AND NEW.seq IS NOT NULL
        AND to_jsonb(NEW) - 'seq' - 'prev_hash' - 'row_hash' = to_jsonb(OLD) - 'seq' - 'prev_hash' - 'row_hash' THEN
        RETURN NEW;                                    -- it gets its place in the chain, this once
    END IF;
    IF TG_OP = 'DELETE' AND OLD.seq <= (SELECT pruned FROM audit_chain) THEN
        RETURN OLD;                                    -- the chain begins after it
    END IF;
    RAISE EXCEPTION 'the audit trail is only added to' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER guard_audit_events BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION guard_audit_events();
CREATE TRIGGER guard_audit_events_whole BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION guard_audit_events();
