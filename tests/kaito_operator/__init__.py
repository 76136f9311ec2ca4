"""A stand-in for the upstream Kaito operator, in the words of several of its releases.

eras.py        what each release writes into a Workspace's status
objects.py     the nodes and the workload it makes of a Workspace
controller.py  finalizer, annotations, progress, cleaning up
"""
