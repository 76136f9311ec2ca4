"""Stand-ins for forges: small servers that hold to what the real ones document, and to what they do not."""
