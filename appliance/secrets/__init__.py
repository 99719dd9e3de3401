"""Values that servers need and nobody else may see: kept sealed, delivered in memory, hidden wherever they turn up."""
