-- How the front door is, as its controller saw it last, so that the hub can show it.
-- Safe under load: one small new table.

CREATE TABLE proxy_state (
    id int PRIMARY KEY CHECK (id = 1),                 -- one row: one front door a box
    seen_at timestamptz NOT NULL,                      -- the controller looks every minute, and after every change
    nginx text NOT NULL CHECK (nginx IN ('running', 'stopped')),
    version text NOT NULL,
    generation text NOT NULL,                          -- of the configuration that serves
    reloaded_at timestamptz,
    reload_s double precision,                         -- how long the last reload waited for clients and workers
    problem text NOT NULL,                             -- why the configuration is not what the settings say; '': it is
    quarantined jsonb NOT NULL,                        -- [{kind, name, reason}]: left out, so that all else is served
    certificates int NOT NULL,
    wildcards int NOT NULL,
    requests bigint NOT NULL,                          -- since Nginx was started
    connections int NOT NULL,
    reload_asked_at timestamptz                        -- somebody wants Nginx to read everything again
);
