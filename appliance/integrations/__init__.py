"""Services that a server uses, such as a database: how it is told of them, and whether they answer."""
