-- What the marketplace shows of each server, beside the ledger and written with it: the newest build that succeeded, and the
-- newest build if that did not. Safe under load: only a new table.

CREATE TABLE catalog_latest (
    server_id bigint NOT NULL,
    is_succeeded boolean NOT NULL,
    run_id bigint NOT NULL UNIQUE,
    owner_id bigint,
    server_type text NOT NULL,                         -- in lower case, as all that is compared here
    status text NOT NULL,
    tier_class text NOT NULL,                          -- gold, silver, watchlist
    search text NOT NULL,                              -- names, source, tag, digests and images, in lower case
    entry text NOT NULL,                               -- JSON of all that is shown, handed on as it is: jsonb would be written out anew
    PRIMARY KEY (server_id, is_succeeded)
);
CREATE INDEX catalog_latest_owner_idx ON catalog_latest (owner_id, run_id DESC);

-- pg_trgm comes with Postgres, but somebody else's may lack or forbid it. Search then reads every row of the catalog instead.
-- Without fastupdate, so that no search pays for the writes before it.
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX catalog_latest_search_idx ON catalog_latest USING gin (search gin_trgm_ops) WITH (fastupdate = off);
EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported OR undefined_object THEN
    RAISE NOTICE 'pg_trgm cannot be had here: %', SQLERRM;
END $$;
