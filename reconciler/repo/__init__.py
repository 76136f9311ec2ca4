"""Git as the reconciler needs it; the only package that imports `pygit2`."""
