"""The node agent: plays kubelet for the development cluster's nodes.

Images in the table (`images.py`) run as local processes of the user who runs the cluster, all others are
simulated (`simulated.py`). A process has no container's walls: it has this machine's files, ports and
rights, its mounts are reached as `mounts.py` says, resource limits and security contexts do nothing. Its
pod has an address of its own in 127.0.0.0/8, told as `status.podIP` and `POD_IP`.
"""
