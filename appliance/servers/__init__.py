"""What a hosted server is and how it lives."""
