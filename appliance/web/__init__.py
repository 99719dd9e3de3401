"""The hub over HTTP: the application, its middlewares, the REST API and the pages."""
