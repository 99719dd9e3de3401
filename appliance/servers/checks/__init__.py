"""Asks servers how they are: one check, all that are due, and what people may want of it."""
