"""The Kubernetes API as the reconciler needs it; the only package that imports `kubernetes`."""
