"""Real Git servers and working clones as fixtures."""
