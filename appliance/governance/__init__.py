"""Workflows, their runs, and who approved what."""
