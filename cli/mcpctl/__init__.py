"""mcpctl: the command line of MCP Host."""

__version__ = "0.1.0"
