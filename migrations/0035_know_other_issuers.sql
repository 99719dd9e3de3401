-- Another authorization server (OAUTH_ISSUER): what the gateway has to know of it and of the people whom its tokens name.
-- Safe under load: a new table, new views, a trigger more.

CREATE TABLE oauth_issuers (
    issuer text PRIMARY KEY,
    metadata jsonb,                                    -- as it was fetched last; NULL: never yet
    fetched_at timestamptz,
    tried_at timestamptz NOT NULL DEFAULT now(),
    error text NOT NULL DEFAULT ''                     -- why the last attempt brought nothing; empty: it did
);

CREATE VIEW gateway_issuers AS
    SELECT issuer, metadata FROM oauth_issuers WHERE metadata IS NOT NULL;

-- People who may call at all, by the address that another issuer knows them by.
CREATE VIEW gateway_addresses AS
    SELECT lower(email) AS email, id AS user_id FROM users WHERE disabled_at IS NULL AND role <> 'reader';

CREATE TRIGGER users_notify_routes_of_email AFTER UPDATE OF email ON users
    FOR EACH STATEMENT EXECUTE FUNCTION notify_routes();
CREATE TRIGGER oauth_issuers_notify_routes AFTER INSERT OR DELETE OR UPDATE OF metadata ON oauth_issuers
    FOR EACH STATEMENT EXECUTE FUNCTION notify_routes();
