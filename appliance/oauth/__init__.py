"""The built-in authorization server: clients, consent, grants and tokens."""
