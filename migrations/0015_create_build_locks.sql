-- What each build of a package took, by version and hash. Safe under load: only a new table.

CREATE TABLE build_locks (
    build_id bigint PRIMARY KEY REFERENCES builds ON DELETE CASCADE,
    filename text NOT NULL,                            -- requirements.txt or package-lock.json
    content text NOT NULL,
    package text NOT NULL,                             -- pypi:name, npm:@scope/name
    version text NOT NULL,
    as_of date,                                        -- NULL: resolved as of its making
    newest timestamptz NOT NULL                        -- nothing in it was published later
);
