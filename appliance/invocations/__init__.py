"""Every MCP call as a row: found, shown and kept for as long as the settings say. The gateway's scribe writes the rows."""
