"""Tracks, stages and release trains: which digest has come how far."""
