-- People who sign in by a provider of identities alone have no password.
-- Safe under load: the catalogue alone changes, and no row is read.

ALTER TABLE users ALTER COLUMN password_hash DROP NOT NULL;
