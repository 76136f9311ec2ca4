"""The objects a cluster starts with."""

from reconciler.dev.api.admission import Call
from reconciler.dev.api.verbs import Verbs


def seed(verbs: Verbs) -> None:
    namespaces = verbs.registry.find("", "v1", "namespaces")
    assert namespaces is not None
    for name in ("default", "kube-system"):
        call = Call(namespaces, "", name, "", {}, "kube-apiserver")
        verbs.create(call, {"metadata": {"name": name}})
