"""Certificates: wanted, ordered from a CA, made by our own, or brought; renewed, and laid where Nginx finds them."""
