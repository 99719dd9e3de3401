"""Thin doors to the outside. No product words here."""
