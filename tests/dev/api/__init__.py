"""Black-box tests of the development API server."""
