"""Certifications, and the tests that they come of."""
