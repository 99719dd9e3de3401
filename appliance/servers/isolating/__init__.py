"""How far a server is kept apart, what that gives away, and which of its limits it ran into."""
