"""What a worker does between a client and a server: who may call, where to, and what passes."""
