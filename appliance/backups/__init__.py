"""Backups of the whole installation: made while it runs, sealed under a passphrase, and brought back on a blank box."""
