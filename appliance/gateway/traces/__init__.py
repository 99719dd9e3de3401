"""Every call is a row: recorded by workers, written by the scribe."""
