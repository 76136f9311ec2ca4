"""A small OCI distribution registry for the development cluster."""
