"""The node agent: plays kubelet for every simulated node."""
