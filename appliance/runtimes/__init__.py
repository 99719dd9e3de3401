"""What runs instances: the Executor port and its implementations."""
