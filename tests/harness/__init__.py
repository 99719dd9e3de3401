"""A whole appliance for tests and proofs: real processes, real Postgres, real engine."""
