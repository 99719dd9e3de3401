-- The settings that a deployment said it lacks when it failed. Safe under load: a constant default rewrites nothing.

ALTER TABLE deployments ADD COLUMN missing_settings jsonb NOT NULL DEFAULT '[]';   -- [name]
