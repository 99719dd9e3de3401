-- Clients that administrators make for apps which people sign in with: a fourth kind, which has a maker as machine clients do.
-- Safe under load: the table has a few thousand rows at most, and none of those that there are breaks the new checks.

ALTER TABLE oauth_clients
    DROP CONSTRAINT oauth_clients_kind_check,
    ADD CONSTRAINT oauth_clients_kind_check CHECK (kind IN ('document', 'dynamic', 'machine', 'made')),
    DROP CONSTRAINT oauth_clients_check,
    ADD CONSTRAINT oauth_clients_check CHECK ((kind IN ('machine', 'made')) = (user_id IS NOT NULL));
