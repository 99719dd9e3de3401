-- Readers of events remember the last id they saw, so a transaction that took a low id and commits late would be missed.
-- Ids therefore follow commits: at its very end a transaction takes a lock and, if a higher id was committed meanwhile,
-- takes a new one. NOTIFY serialises commits in the same place anyway, so nothing waits that did not wait before.
-- Safe under load: triggers on a table that only ever grows at its end.

CREATE FUNCTION order_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    final_id bigint := NEW.id;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('events'), 1);
    IF EXISTS (SELECT FROM events WHERE id > NEW.id) THEN
        UPDATE events SET id = nextval(pg_get_serial_sequence('events', 'id')) WHERE id = NEW.id RETURNING id INTO final_id;
    END IF;
    -- A row that its own transaction deleted again is nobody's news.
    IF final_id IS NOT NULL THEN
        PERFORM pg_notify('events', final_id::text);
    END IF;
    RETURN NULL;
END $$;

DROP TRIGGER events_notify ON events;
DROP FUNCTION notify_events();
CREATE CONSTRAINT TRIGGER events_order AFTER INSERT ON events
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION order_event();
