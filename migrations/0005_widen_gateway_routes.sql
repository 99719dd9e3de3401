-- What the gateway needs to know of a server beyond where it is. Safe under load: a view, with columns added at its end.

CREATE OR REPLACE VIEW gateway_routes AS
    SELECT s.id AS server_id, s.name, s.owner_id, s.endpoint_key_hash, s.status, s.status_reason,
           i.id AS instance_id, i.container_id, i.transport, i.address, s.config -> 'tools' AS allowed_tools,
           s.deployment_id,
           coalesce(s.config ->> 'session_mode', 'auto') AS session_mode,          -- shared, per-session, auto
           coalesce(s.config -> 'limits', '{}') AS limits,                         -- {calls_per_second, concurrency, body_bytes, timeout_s}
           coalesce((s.config ->> 'trace_bodies')::boolean, true) AS trace_bodies, -- keep requests and answers with their traces
           coalesce((s.config ->> 'listed')::boolean, false) AS listed,            -- discovery shows it to anybody
           d.manifest - 'tools' AS card                                            -- what it says of itself, without its tools
    FROM servers s
    LEFT JOIN instances i ON i.deployment_id = s.deployment_id AND s.desired_state = 'running'
    LEFT JOIN deployments d ON d.id = s.deployment_id
    WHERE s.desired_state <> 'deleted';

-- A manifest that changes while its server runs (listChanged) changes the card.
CREATE TRIGGER deployments_notify_routes AFTER UPDATE OF manifest ON deployments
    FOR EACH STATEMENT EXECUTE FUNCTION notify_routes();
