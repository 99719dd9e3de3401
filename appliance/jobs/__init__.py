"""The persistent queue, its worker and the clock. Knows no domain: a job is a kind, a payload and perhaps a lane."""
