"""The product as its users meet it: real processes, real packages, a real browser."""
