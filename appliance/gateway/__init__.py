"""The MCP data plane, in processes of its own: a master, workers that speak HTTP, and the bridge to stdio servers."""
