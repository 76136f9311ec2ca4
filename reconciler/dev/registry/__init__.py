"""A small OCI distribution registry, kept in memory."""
