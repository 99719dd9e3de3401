-- What every platform of a build is doing, for whoever watches. Safe under load: a new column with a constant default.

ALTER TABLE builds ADD COLUMN platforms jsonb NOT NULL DEFAULT '[]';
