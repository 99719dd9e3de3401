-- What discovery shows of a manifest, without its lists, kept beside it: the gateway reads it at every change of any route, and
-- strangers ask for it. Safe under load: rewrites deployments, which holds a few rows a server, under a lock of a moment.

ALTER TABLE deployments ADD COLUMN card jsonb GENERATED ALWAYS AS
    (manifest - '{tools,prompts,resources,resourceTemplates,instructions,unread}'::text[]) STORED;

CREATE OR REPLACE VIEW gateway_routes AS
    SELECT s.id AS server_id, s.name, s.owner_id, s.endpoint_key_hash, s.status, s.status_reason,
           i.id AS instance_id, i.container_id, i.transport, i.address, s.config -> 'tools' AS allowed_tools,
           s.deployment_id,
           coalesce(s.config ->> 'session_mode', 'auto') AS session_mode,          -- shared, per-session, auto
           coalesce(s.config -> 'limits', '{}') AS limits,                         -- {calls_per_second, concurrency, body_bytes, timeout_s}
           coalesce((s.config ->> 'trace_bodies')::boolean, true) AS trace_bodies, -- keep requests and answers with their traces
           coalesce((s.config ->> 'listed')::boolean, false) AS listed,            -- discovery shows it to anybody
           d.card                                                                  -- what it says of itself, without its lists
    FROM servers s
    LEFT JOIN instances i ON i.deployment_id = s.deployment_id AND s.desired_state = 'running'
    LEFT JOIN deployments d ON d.id = s.deployment_id
    WHERE s.desired_state <> 'deleted';
