"""MCP Host: an appliance that hosts MCP servers on one box. Start with docs/architecture.md."""
