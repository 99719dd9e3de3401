"""Accounts at remote servers that want to know who calls: found, connected, renewed, taken back."""
