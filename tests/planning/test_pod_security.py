"""Pod templates held to Pod Security `restricted`: one row per field."""

import pytest
import yaml
from builders import context, copied, desired, observed, place, policy, ws

from reconciler.model.settings import Tenant
from reconciler.model.world import ObservedWorkspace
from reconciler.planning.diff import make_plan
from reconciler.planning.pod_security import breaches

GOOD = {
    "spec": {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "main",
                "image": "registry.example.com/server:1",
                "ports": [{"containerPort": 5000}],
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
                },
            }
        ],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": "d"}},
            {"name": "t", "emptyDir": {}},
        ],
    }
}
MAIN = "spec.containers.0.securityContext"
CONTAINER = "spec.containers[0].securityContext"
FORBIDDEN = {
    "the host's network": ("spec.hostNetwork", True, "spec.hostNetwork"),
    "the host's processes": ("spec.hostPID", True, "spec.hostPID"),
    "the host's IPC": ("spec.hostIPC", True, "spec.hostIPC"),
    "a process of a Windows host": (
        "spec.securityContext.windowsOptions",
        {"hostProcess": True},
        "spec.securityContext.windowsOptions.hostProcess",
    ),
    "a port of the host": ("spec.containers.0.ports.0.hostPort", 80, "spec.containers[0].ports[0].hostPort"),
    "a folder of the host": (
        "spec.volumes.0",
        {"name": "x", "hostPath": {"path": "/"}},
        "spec.volumes[0].hostPath",
    ),
    "a volume over the network": ("spec.volumes.0", {"name": "x", "nfs": {}}, "spec.volumes[0].nfs"),
    "a privileged container": (f"{MAIN}.privileged", True, f"{CONTAINER}.privileged"),
    "escalation": (f"{MAIN}.allowPrivilegeEscalation", True, f"{CONTAINER}.allowPrivilegeEscalation"),
    "escalation by default": (
        f"{MAIN}.allowPrivilegeEscalation",
        ...,
        f"{CONTAINER}.allowPrivilegeEscalation",
    ),
    "capabilities that are kept": (
        f"{MAIN}.capabilities.drop",
        ["NET_RAW"],
        f"{CONTAINER}.capabilities.drop",
    ),
    "a capability that is added": (
        f"{MAIN}.capabilities.add",
        ["SYS_ADMIN"],
        f"{CONTAINER}.capabilities.add",
    ),
    "root, by what is not said": ("spec.securityContext.runAsNonRoot", ..., f"{CONTAINER}.runAsNonRoot"),
    "root in one container": (f"{MAIN}.runAsNonRoot", False, f"{CONTAINER}.runAsNonRoot"),
    "root, by its number": (f"{MAIN}.runAsUser", 0, f"{CONTAINER}.runAsUser"),
    "root for the pod": ("spec.securityContext.runAsUser", 0, "spec.securityContext.runAsUser"),
    "no seccomp profile": ("spec.securityContext.seccompProfile", ..., f"{CONTAINER}.seccompProfile.type"),
    "an unconfined container": (
        f"{MAIN}.seccompProfile",
        {"type": "Unconfined"},
        f"{CONTAINER}.seccompProfile.type",
    ),
    "no AppArmor": (f"{MAIN}.appArmorProfile", {"type": "Unconfined"}, f"{CONTAINER}.appArmorProfile.type"),
    "no AppArmor, the old way": (
        "metadata",
        {"annotations": {"container.apparmor.security.beta.kubernetes.io/main": "unconfined"}},
        "metadata.annotations[container.apparmor.security.beta.kubernetes.io/main]",
    ),
    "another SELinux type": (f"{MAIN}.seLinuxOptions", {"type": "spc_t"}, f"{CONTAINER}.seLinuxOptions.type"),
    "an SELinux role": (f"{MAIN}.seLinuxOptions", {"role": "r"}, f"{CONTAINER}.seLinuxOptions.role"),
    "an unmasked /proc": (f"{MAIN}.procMount", "Unmasked", f"{CONTAINER}.procMount"),
    "an unsafe sysctl": (
        "spec.securityContext.sysctls",
        [{"name": "kernel.msgmax", "value": "1"}],
        "spec.securityContext.sysctls[0].name",
    ),
}
ALLOWED = {
    "as it is": ("spec.restartPolicy", "Always"),
    "non-root said by the container alone": (
        "spec.securityContext",
        {"seccompProfile": {"type": "Localhost"}},
    ),
    "a safe sysctl": ("spec.securityContext.sysctls", [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]),
    "a user that is not root": (f"{MAIN}.runAsUser", 1000),
}


def with_field(path, value):
    template = copied(GOOD)
    if path == "spec.securityContext":
        template["spec"]["containers"][0]["securityContext"]["runAsNonRoot"] = True
    place(template, path.split("."), value)
    return template


@pytest.mark.parametrize(("path", "value", "field"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_forbidden(path, value, field):
    assert [breach.field for breach in breaches(with_field(path, value))] == [field]


@pytest.mark.parametrize(("path", "value"), ALLOWED.values(), ids=ALLOWED)
def test_allowed(path, value):
    assert breaches(with_field(path, value)) == []


@pytest.mark.parametrize("kind", ["initContainers", "ephemeralContainers"])
def test_no_container_is_overlooked(kind):
    template = copied(GOOD)
    template["spec"][kind] = [{"name": "other", "image": "x:1"}]
    assert {breach.field.split(".")[1] for breach in breaches(template)} == {f"{kind}[0]"}


# --- who may bring a template ----------------------------------------------------------------------

TEAM = Tenant(name="a", paths=("**",), namespaces=("ai",))
TRUSTED = TEAM.model_copy(update={"pod_templates": True})
BAD = with_field("spec.hostNetwork", True)
WHO = {
    "no tenants, a good template": ((), GOOD, ""),
    "no tenants, a bad one": (
        (),
        BAD,
        "Pod Security restricted: inference.template.spec.hostNetwork must not be true",
    ),
    "a tenant without leave": (
        (TEAM,),
        GOOD,
        "tenant a may not bring a pod template (inference.template); name a preset",
    ),
    "a tenant with leave": ((TRUSTED,), GOOD, ""),
    "a tenant with leave, a bad one": (
        (TRUSTED,),
        BAD,
        "Pod Security restricted: inference.template.spec.hostNetwork must not be true",
    ),
}


@pytest.mark.parametrize("engine", ["native", "kaito"])
@pytest.mark.parametrize(("tenants", "template", "rule"), WHO.values(), ids=WHO)
def test_who_may_bring_a_template(engine, tenants, template, rule):
    document = {
        "apiVersion": "kaito.sh/v1alpha1",
        "kind": "Workspace",
        "metadata": {"name": "own"},
        "resource": {"instanceType": "Standard_NC6s_v3", "labelSelector": {"matchLabels": {"apps": "own"}}},
        "inference": {"template": template},
    }
    found = desired(yaml.safe_dump(document), where=context(tenants=tenants, engine=engine))
    assert not found.invalid
    plan = make_plan(found, observed(ObservedWorkspace(ws("own"))), policy(engine=engine))
    assert [(h.reason, h.why) for h in plan.holds if h.reason == "NotPermitted"] == (
        [("NotPermitted", rule)] if rule else []
    )
    assert bool(plan.steps) == (not rule)
