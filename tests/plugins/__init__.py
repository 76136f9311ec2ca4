"""Fixtures by the fake they start."""
