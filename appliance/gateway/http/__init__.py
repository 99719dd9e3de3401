"""HTTP in and out: the listener, the client that calls servers, and the messages between them."""
