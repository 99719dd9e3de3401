-- Tools that are held back are gathered once for all servers instead of looked for at each: the gateway reads the view at every
-- change of any route, and nearly all servers hold none. Safe under load: a view with the same columns.

CREATE OR REPLACE VIEW gateway_routes AS
    SELECT s.id AS server_id, s.name, s.owner_id, s.endpoint_key_hash, s.status, s.status_reason,
           i.id AS instance_id, i.container_id, i.transport, i.address, s.config -> 'tools' AS allowed_tools,
           s.deployment_id,
           coalesce(s.config ->> 'session_mode', 'auto') AS session_mode,          -- shared, per-session, auto
           coalesce(s.config -> 'limits', '{}') AS limits,                         -- {calls_per_second, concurrency, body_bytes, timeout_s}
           coalesce((s.config ->> 'trace_bodies')::boolean, true) AS trace_bodies, -- keep requests and answers with their traces
           coalesce((s.config ->> 'listed')::boolean, false) AS listed,            -- discovery shows it to anybody
           d.card,                                                                 -- what it says of itself, without its lists
           h.held_tools,                                                           -- {name: why}: neither listed nor called
           CASE WHEN s.config ->> 'pinning' = 'quarantine'
                 AND EXISTS (SELECT FROM tool_decisions t WHERE t.server_id = s.id)
           THEN (SELECT coalesce(jsonb_object_agg(p.name, p.hash), '{}')
                 FROM tool_pins p
                 WHERE p.server_id = s.id AND p.kind = 'tool' AND p.retired_at IS NULL)
           END AS pinned_tools                                                     -- {name: sha256}: nothing else passes; NULL: anything
    FROM servers s
    LEFT JOIN instances i ON i.deployment_id = s.deployment_id AND s.desired_state = 'running'
    LEFT JOIN deployments d ON d.id = s.deployment_id
    LEFT JOIN (
        SELECT c.server_id, jsonb_object_agg(c.name, CASE c.state WHEN 'rejected' THEN 'rejected' ELSE c.what END) AS held_tools
        FROM tool_changes c
        JOIN servers o ON o.id = c.server_id
        WHERE c.kind = 'tool' AND c.what <> 'removed' AND (c.state = 'rejected' OR o.config ->> 'pinning' = 'quarantine')
        GROUP BY c.server_id
    ) h ON h.server_id = s.id
    WHERE s.desired_state <> 'deleted';
