-- Two instances of one server at a time: one beside the routed one is asked by the hub before it takes over, and the one that was
-- routed ends its calls afterwards. Safe under load: a column without a default, and a view.

ALTER TABLE instances
    ADD COLUMN leaving_since timestamptz,              -- another instance is routed to; calls that began here go on
    ADD COLUMN leave_by timestamptz;                   -- when it is removed whether they are over or not

-- What the gateway may know of instances that no client is sent to. Only the hub reaches them, by number.
CREATE VIEW gateway_beside AS
    SELECT s.name, i.id AS instance_id, i.deployment_id, i.container_id, i.transport, i.address,
           i.leaving_since IS NOT NULL AS is_leaving
    FROM instances i
    JOIN servers s ON s.id = i.server_id
    WHERE s.desired_state = 'running' AND i.deployment_id IS DISTINCT FROM s.deployment_id;
