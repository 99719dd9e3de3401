-- Before every launch the ledger is asked what made a deployment's image; by its server alone, all that was ever built for it is read.
-- Safe under load: an index. Builds that end in the moment in which it is made wait for it: under a second for a hundred thousand.

CREATE INDEX build_artifact_runs_deployment_idx ON build_artifact_runs (deployment_id, id DESC);
