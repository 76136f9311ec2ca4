"""The objects a cluster starts with."""

from reconciler.dev.api import crds
from reconciler.dev.api.admission import Call
from reconciler.dev.api.verbs import NAMESPACES, Verbs


def seed(verbs: Verbs) -> None:
    """Serve what stored definitions define, and make the namespaces that every cluster has."""
    for crd in verbs.store.records(crds.KEY):
        verbs.registry.define(crd.copy())
    namespaces = verbs.registry.find("", "v1", "namespaces")
    assert namespaces is not None
    for name in ("default", "kube-system", "kube-public", "kube-node-lease"):
        if verbs.store.get(NAMESPACES, "", name) is None:
            verbs.create(Call(namespaces, "", name, "", {}, "kube-apiserver"), {"metadata": {"name": name}})
