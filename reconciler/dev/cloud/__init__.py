"""A cloud without machines: pools that take their time, fail on request, and join nodes to the cluster."""
