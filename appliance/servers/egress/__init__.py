"""Where a server may go, as people set it, and where it tried to."""
