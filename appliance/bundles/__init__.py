"""Bundles: virtual servers that offer the tools of several servers at one endpoint."""
