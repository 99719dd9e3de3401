"""What a server's tools were when somebody approved them, and what is done when they are others."""
