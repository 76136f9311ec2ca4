"""What a pod takes from ConfigMaps, Secrets and its own fields: as environment and as files."""

import base64
import re
from collections.abc import Iterator
from decimal import ROUND_CEILING, Decimal
from typing import Any, NamedTuple

from reconciler.dev.scheduler.demand import amount
from reconciler.model.names import ObjectKey
from reconciler.model.world import Manifest

from .runtime import NotStarted, Work

_KINDS = {"configMap": "ConfigMap", "secret": "Secret"}
KINDS = {field + suffix: kind for field, kind in _KINDS.items() for suffix in ("", "KeyRef", "Ref")}
"""Fields that refer to an object by name."""

FIELD = re.compile(
    r"(metadata|spec|status)\.(name|namespace|uid|labels|annotations|nodeName|serviceAccountName"
    r"|podIPs?|hostIPs?)(?:\['(.+)'\])?"
)
BAD_CONFIG = "CreateContainerConfigError"
TOKEN = b"placeholder: the node agent issues no tokens"


class File(NamedTuple):
    data: bytes
    mode: int


def references(pod: Manifest) -> set[ObjectKey]:
    """The ConfigMaps and Secrets that volumes and environment name."""
    return {ObjectKey(kind, pod["metadata"].get("namespace", ""), name) for kind, name in _named(pod["spec"])}


def _named(node: Any) -> Iterator[tuple[str, str]]:
    for each in node if isinstance(node, list) else ():
        yield from _named(each)
    for field, value in node.items() if isinstance(node, dict) else ():
        if field in KINDS and isinstance(value, dict):
            yield KINDS[field], _name(value)
        yield from _named(value)


def _name(reference: Manifest) -> str:
    return str(reference.get("secretName") or reference.get("name", ""))


def _contents(work: Work, field: str, reference: Manifest) -> dict[str, bytes]:
    """What the object holds; nothing where it is absent and optional."""
    kind, name = KINDS[field], _name(reference)
    found = work.sources.get(ObjectKey(kind, work.namespace, name))
    if found is None:
        if reference.get("optional"):
            return {}
        raise NotStarted(BAD_CONFIG, f'{kind.lower()} "{name}" not found')
    texts = (found.get("data") or {}) if kind == "ConfigMap" else {}
    coded = found.get("binaryData" if kind == "ConfigMap" else "data") or {}
    return {k: v.encode() for k, v in texts.items()} | {k: base64.b64decode(v) for k, v in coded.items()}


# --- environment


def environment(work: Work) -> dict[str, str]:
    """As the container declares it. Raises NotStarted where something required is missing."""
    values: dict[str, str] = {}
    for source in work.container.get("envFrom") or []:
        for field in source.keys() & KINDS.keys():
            found = _contents(work, field, source[field])
            values |= {source.get("prefix", "") + k: v.decode(errors="replace") for k, v in found.items()}
    for entry in work.container.get("env") or []:
        value = _value(work, entry["valueFrom"]) if "valueFrom" in entry else entry.get("value", "")
        if value is not None:
            values[entry["name"]] = value if "valueFrom" in entry else expand(value, values)
    return values


def expand(text: str, values: dict[str, str]) -> str:
    """`$(NAME)` where it is known; `$$` is a dollar sign."""
    known = {f"$({name})": value for name, value in values.items()} | {"$$": "$"}
    return re.sub(r"\$\$|\$\([^()]+\)", lambda found: known.get(found[0], found[0]), text)


def _value(work: Work, source: Manifest) -> str | None:
    if "fieldRef" in source or "resourceFieldRef" in source:
        return _own(work, source)
    field, reference = next(iter(source.items()))
    if field not in KINDS:
        raise NotStarted(BAD_CONFIG, f"valueFrom.{field} is not supported here")
    found = _contents(work, field, reference)
    if reference["key"] in found:
        return found[reference["key"]].decode(errors="replace")
    if reference.get("optional"):
        return None
    where = f"{KINDS[field]} {work.namespace}/{_name(reference)}"
    raise NotStarted(BAD_CONFIG, f"couldn't find key {reference['key']} in {where}")


def _own(work: Work, source: Manifest) -> str:
    """A fieldRef or resourceFieldRef."""
    if "resourceFieldRef" in source:
        return _resource(work, source["resourceFieldRef"])
    path = source["fieldRef"]["fieldPath"]
    if not (asked := FIELD.fullmatch(path)):
        raise NotStarted(BAD_CONFIG, f"fieldPath {path} is not supported here")
    ip, host = work.place.pod_ip, work.place.host_ip
    status = {"podIP": ip, "podIPs": ip, "hostIP": host, "hostIPs": host}
    group, name, key = asked.groups()
    found = (work.pod | {"status": status})[group].get(name)
    if name not in ("labels", "annotations"):
        return str(found or "")
    pairs: dict[str, str] = found or {}
    return pairs.get(key, "") if key else "\n".join(f'{k}="{v}"' for k, v in sorted(pairs.items()))


def _resource(work: Work, source: Manifest) -> str:
    """Rounded up to the divisor. A limit that is not set is what the node has."""
    containers = (work.pod["spec"].get("initContainers") or []) + work.pod["spec"]["containers"]
    name = source.get("containerName") or work.container["name"]
    resources = next((c.get("resources") or {} for c in containers if c["name"] == name), {})
    group, _, resource = source["resource"].partition(".")
    unset = work.place.node.get("status", {}).get("allocatable", {}) if group == "limits" else {}
    found = (resources.get(group) or {}).get(resource) or unset.get(resource, "0")
    divisor = amount(source.get("divisor") or "1") or Decimal(1)
    return str((amount(found) / divisor).to_integral_value(ROUND_CEILING))


# --- files


def mounted(work: Work) -> dict[str, File]:
    """Absolute paths of the container to files from the API. Raises NotStarted, as any volume needs it."""
    volumes = {volume["name"]: _files(work, volume) for volume in work.pod["spec"].get("volumes") or []}
    found: dict[str, File] = {}
    for mount in work.container.get("volumeMounts") or []:
        top, part = mount["mountPath"].rstrip("/"), mount.get("subPath", "").strip("/")
        for path, file in volumes.get(mount["name"], {}).items():
            if not part or path.startswith(part + "/"):
                found[f"{top}/{path[len(part) :].lstrip('/')}"] = file
            elif path == part:
                found[top] = file
    return found


def _files(work: Work, volume: Manifest) -> dict[str, File]:
    found: dict[str, File] = {}
    mode = volume.get("projected", {}).get("defaultMode", 0o644)
    try:
        for source in volume.get("projected", {}).get("sources") or [volume]:
            for field, value in source.items():
                if field in KINDS:
                    found |= _chosen(_contents(work, field, value), value, mode)
                elif field == "downwardAPI":
                    mode = value.get("defaultMode", mode)
                    for item in value.get("items") or []:
                        found[item["path"]] = File(_own(work, item).encode(), item.get("mode", mode))
                elif field == "serviceAccountToken":
                    found[value["path"]] = File(TOKEN, mode)
    except NotStarted as why:
        message = f'MountVolume.SetUp failed for volume "{volume["name"]}": {why.args[1]}'
        raise NotStarted("ContainerCreating", message) from None
    return found


def _chosen(data: dict[str, bytes], source: Manifest, mode: int) -> dict[str, File]:
    mode = source.get("defaultMode", mode)
    if not source.get("items"):
        return {name: File(content, mode) for name, content in data.items()}
    absent = {item["key"] for item in source["items"]} - data.keys()
    if absent and not source.get("optional"):
        raise NotStarted(BAD_CONFIG, f"references non-existent key: {', '.join(sorted(absent))}")
    chosen = [item for item in source["items"] if item["key"] not in absent]
    return {item["path"]: File(data[item["key"]], item.get("mode", mode)) for item in chosen}
