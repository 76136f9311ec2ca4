"""A development world: a Kubernetes API server, controllers, nodes, a cloud and a Git server."""
