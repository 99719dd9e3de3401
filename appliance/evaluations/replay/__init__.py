"""Recorded calls, made again of another version, and how its answers differ."""
