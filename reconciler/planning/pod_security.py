"""Pod Security `restricted`, held to pod templates that users bring.

The rules of the Kubernetes Pod Security Standards, v1.32, one check each. There is no leave for Windows:
GPU nodes run Linux. What is malformed is left to the API server, which refuses it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

Fields = dict[str, Any]

_VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)
_SELINUX_TYPES = frozenset({"container_t", "container_init_t", "container_kvm_t", "container_engine_t"})
_PROFILES = ("RuntimeDefault", "Localhost")
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"


class Breach(NamedTuple):
    """`field` from the template's root."""

    field: str
    rule: str

    def __str__(self) -> str:
        return f"{self.field} {self.rule}"


@dataclass(frozen=True, slots=True)
class Pod:
    """A template, ready to be asked. `containers` has all kinds of them, `contexts` the pod's own too."""

    spec: Fields
    annotations: Fields
    containers: tuple[tuple[str, Fields], ...]

    @property
    def context(self) -> Fields:
        return _fields(self.spec.get("securityContext"))

    @property
    def contexts(self) -> tuple[tuple[str, Fields], ...]:
        own = ("spec.securityContext", self.context)
        return (own, *((f"{at}.securityContext", _context(c)) for at, c in self.containers))


def breaches(template: Fields) -> list[Breach]:
    """Every field that `restricted` forbids or misses, in the order of the checks."""
    spec = _fields(template.get("spec"))
    kinds = ("initContainers", "containers", "ephemeralContainers")
    containers = [
        (f"spec.{kind}[{number}]", container)
        for kind in kinds
        for number, container in enumerate(_items(spec.get(kind)))
    ]
    annotations = _fields(_fields(template.get("metadata")).get("annotations"))
    pod = Pod(spec, annotations, tuple(containers))
    return [breach for check in CHECKS for breach in check(pod)]


# --- the host --------------------------------------------------------------------------------------


def host_namespaces(pod: Pod) -> Iterator[Breach]:
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.spec.get(name):
            yield Breach(f"spec.{name}", "must not be true")


def host_process(pod: Pod) -> Iterator[Breach]:
    for at, context in pod.contexts:
        if _fields(context.get("windowsOptions")).get("hostProcess"):
            yield Breach(f"{at}.windowsOptions.hostProcess", "must not be true")


def host_ports(pod: Pod) -> Iterator[Breach]:
    for at, container in pod.containers:
        for number, port in enumerate(_items(container.get("ports"))):
            if port.get("hostPort"):
                yield Breach(f"{at}.ports[{number}].hostPort", "must not be set")


def volume_types(pod: Pod) -> Iterator[Breach]:
    for number, volume in enumerate(_items(pod.spec.get("volumes"))):
        for kind in sorted(volume.keys() - {"name"} - _VOLUMES):
            if volume[kind] is not None:
                rule = f"is not an allowed type of volume; allowed are {', '.join(sorted(_VOLUMES))}"
                yield Breach(f"spec.volumes[{number}].{kind}", rule)


# --- privileges ------------------------------------------------------------------------------------


def privileged(pod: Pod) -> Iterator[Breach]:
    for at, container in pod.containers:
        if _context(container).get("privileged"):
            yield Breach(f"{at}.securityContext.privileged", "must not be true")


def privilege_escalation(pod: Pod) -> Iterator[Breach]:
    for at, container in pod.containers:
        if _context(container).get("allowPrivilegeEscalation") is not False:
            yield Breach(f"{at}.securityContext.allowPrivilegeEscalation", "must be false")


def capabilities(pod: Pod) -> Iterator[Breach]:
    for at, container in pod.containers:
        said = _fields(_context(container).get("capabilities"))
        if "ALL" not in (said.get("drop") or ()):
            yield Breach(f"{at}.securityContext.capabilities.drop", "must contain ALL")
        if set(said.get("add") or ()) - {"NET_BIND_SERVICE"}:
            yield Breach(f"{at}.securityContext.capabilities.add", "may contain NET_BIND_SERVICE only")


def non_root(pod: Pod) -> Iterator[Breach]:
    """True for the pod, or for each container; never false for one."""
    by_default = pod.context.get("runAsNonRoot")
    for at, container in pod.containers:
        said = _context(container).get("runAsNonRoot")
        if (by_default if said is None else said) is not True:
            yield Breach(f"{at}.securityContext.runAsNonRoot", "must be true, here or for the pod")


def root_user(pod: Pod) -> Iterator[Breach]:
    for at, context in pod.contexts:
        if context.get("runAsUser") == 0:
            yield Breach(f"{at}.runAsUser", "must not be 0")


# --- kernel ----------------------------------------------------------------------------------------


def seccomp(pod: Pod) -> Iterator[Breach]:
    """Set for the pod, or for each container; never `Unconfined`."""
    by_default = _fields(pod.context.get("seccompProfile")).get("type")
    for at, container in pod.containers:
        said = _fields(_context(container).get("seccompProfile")).get("type")
        if (said or by_default) not in _PROFILES:
            rule = "must be RuntimeDefault or Localhost, here or for the pod"
            yield Breach(f"{at}.securityContext.seccompProfile.type", rule)


def app_armor(pod: Pod) -> Iterator[Breach]:
    for at, context in pod.contexts:
        said = _fields(context.get("appArmorProfile")).get("type")
        if said is not None and said not in _PROFILES:
            yield Breach(f"{at}.appArmorProfile.type", "must be RuntimeDefault or Localhost")
    for name, value in pod.annotations.items():
        if name.startswith(_APPARMOR) and value != "runtime/default" and not value.startswith("localhost/"):
            yield Breach(f"metadata.annotations[{name}]", "must be runtime/default or localhost/…")


def selinux(pod: Pod) -> Iterator[Breach]:
    for at, context in pod.contexts:
        said = _fields(context.get("seLinuxOptions"))
        if said.get("type") and said["type"] not in _SELINUX_TYPES:
            yield Breach(f"{at}.seLinuxOptions.type", f"must be one of {', '.join(sorted(_SELINUX_TYPES))}")
        for name in ("user", "role"):
            if said.get(name):
                yield Breach(f"{at}.seLinuxOptions.{name}", "must not be set")


def proc_mount(pod: Pod) -> Iterator[Breach]:
    for at, container in pod.containers:
        if _context(container).get("procMount") not in (None, "Default"):
            yield Breach(f"{at}.securityContext.procMount", "must be Default")


def sysctls(pod: Pod) -> Iterator[Breach]:
    for number, sysctl in enumerate(_items(pod.context.get("sysctls"))):
        if sysctl.get("name") not in _SYSCTLS:
            yield Breach(f"spec.securityContext.sysctls[{number}].name", "must be one of the safe sysctls")


CHECKS: tuple[Callable[[Pod], Iterator[Breach]], ...] = (
    host_namespaces,
    host_process,
    host_ports,
    volume_types,
    privileged,
    privilege_escalation,
    capabilities,
    non_root,
    root_user,
    seccomp,
    app_armor,
    selinux,
    proc_mount,
    sysctls,
)


# --- plain data ------------------------------------------------------------------------------------


def _context(container: Fields) -> Fields:
    return _fields(container.get("securityContext"))


def _fields(value: Any) -> Fields:
    return value if isinstance(value, dict) else {}


def _items(value: Any) -> list[Fields]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
