"""A bundle before its members: one peer made of several."""
