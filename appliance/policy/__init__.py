"""What may run: facts in, decision out, and every decision kept."""
