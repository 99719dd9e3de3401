"""The pages: handlers that parse, call a service and render; templates say the rest."""
