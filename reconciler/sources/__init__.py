"""Where desired state comes from: Git or a plain folder."""
