"""Evidence: what is in an image, how it was made, and a signature over both."""
