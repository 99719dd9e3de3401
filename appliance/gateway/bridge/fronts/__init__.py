"""What speaks to clients: sessions, the stateless era, HTTP+SSE."""
