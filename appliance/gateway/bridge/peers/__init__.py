"""Servers of every kind, each behind the same seam (``bridge/peer.py``)."""
