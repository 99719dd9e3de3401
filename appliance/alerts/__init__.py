"""What is wrong with the box, who is told of it, and when it ended."""
