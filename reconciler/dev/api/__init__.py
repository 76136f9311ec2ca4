"""A Kubernetes API server for development: a store, its verbs and an HTTP face.

It models the part of 1.32 that the daemon, its controllers and `kubectl` use; everything else is refused
with a reason. It has no RBAC, admission webhooks, quotas or conversion webhooks.
"""
