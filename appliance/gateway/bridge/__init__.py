"""Servers that need more than forwarding: stdio, the other era, the other transport, sessions of their own."""
