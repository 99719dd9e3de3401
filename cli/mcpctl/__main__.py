"""``python -m mcpctl``."""

from mcpctl.main import run

run()
