"""``mcp-host doctor``: looks at everything that an operator would, and says how to mend what is wrong."""
