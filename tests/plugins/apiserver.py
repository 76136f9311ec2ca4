"""The development API server as a fixture."""
