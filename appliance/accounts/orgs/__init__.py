"""Organisations: people who share servers and bundles."""
