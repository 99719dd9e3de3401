"""What MCP says: envelopes, eras, subscriptions. Pure; knows no sockets."""
