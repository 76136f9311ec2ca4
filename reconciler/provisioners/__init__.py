"""Where GPU nodes come from: one driver a file."""
