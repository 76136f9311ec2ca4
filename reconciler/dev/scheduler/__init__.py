"""Puts pods on nodes, and says why where it cannot."""
