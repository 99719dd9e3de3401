-- How much a key may ask of the gateway. Safe under load: columns without a default, a view with columns added at its end.

ALTER TABLE api_keys
    ADD COLUMN calls_per_second double precision CHECK (calls_per_second > 0),  -- NULL: as GW_KEY_CALLS_PER_SECOND says
    ADD COLUMN concurrency int CHECK (concurrency > 0);                         -- NULL: as GW_KEY_CONCURRENCY says

CREATE OR REPLACE VIEW gateway_keys AS
    SELECT k.key_hash, k.user_id, u.role = 'admin' AS every_server, k.expires_at, k.id AS key_id, k.calls_per_second, k.concurrency
    FROM api_keys k JOIN users u ON u.id = k.user_id
    WHERE k.revoked_at IS NULL AND u.disabled_at IS NULL;

DROP TRIGGER api_keys_notify_routes ON api_keys;
CREATE TRIGGER api_keys_notify_routes AFTER INSERT OR DELETE OR UPDATE OF revoked_at, expires_at, calls_per_second, concurrency
    ON api_keys FOR EACH STATEMENT EXECUTE FUNCTION notify_routes();
