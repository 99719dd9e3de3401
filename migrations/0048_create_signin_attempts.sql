-- Browsers that are on their way to a provider of identities and back; a row is gone once one came back.
-- Safe under load: a new table.

CREATE TABLE signin_attempts (
    state_hash bytea PRIMARY KEY,                      -- sha256 of what the provider sends back
    browser_hash bytea NOT NULL,                       -- sha256 of what the browser keeps
    sealed bytea NOT NULL,                             -- nonce, verifier and where to go; under JWT_SECRET
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX signin_attempts_expires_at_idx ON signin_attempts (expires_at);
