"""The ledger of what was built, and the marketplace that reads it."""
