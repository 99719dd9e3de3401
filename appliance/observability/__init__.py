"""What happened and what happens: logs, events, the audit trail, usage metrics, counters. Knows no domain."""
