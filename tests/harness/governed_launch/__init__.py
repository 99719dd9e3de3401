"""A governed launch from a repository to the roll back of a version, told once and done by three kinds of clients."""
