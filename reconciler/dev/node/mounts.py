"""What ConfigMaps mount into a pod's containers."""

from collections.abc import Iterator, Mapping

from reconciler.model.names import ObjectKey
from reconciler.model.world import Manifest

ConfigMaps = Mapping[ObjectKey, Manifest | None]


def _config_volumes(pod: Manifest) -> Iterator[tuple[str, Manifest]]:
    """Names of volumes, with their ConfigMap source."""
    for volume in pod["spec"].get("volumes") or []:
        if "configMap" in volume:
            yield volume["name"], volume["configMap"]


def _key(pod: Manifest, source: Manifest) -> ObjectKey:
    return ObjectKey("ConfigMap", pod["metadata"].get("namespace", ""), source["name"])


def wanted(pod: Manifest) -> set[ObjectKey]:
    return {_key(pod, source) for _, source in _config_volumes(pod)}


def missing(pod: Manifest, maps: ConfigMaps) -> list[ObjectKey]:
    """ConfigMaps without which the pod cannot start."""
    keys = {_key(pod, source) for _, source in _config_volumes(pod) if not source.get("optional")}
    return sorted(key for key in keys if maps.get(key) is None)


def mounted(pod: Manifest, maps: ConfigMaps) -> dict[str, str]:
    """Absolute paths to contents, over all containers."""
    contents = {name: _contents(source, maps.get(_key(pod, source))) for name, source in _config_volumes(pod)}
    files: dict[str, str] = {}
    for container in pod["spec"].get("containers") or []:
        for mount in container.get("volumeMounts") or []:
            for path, text in contents.get(mount["name"], {}).items():
                if "subPath" not in mount:
                    files[f"{mount['mountPath'].rstrip('/')}/{path}"] = text
                elif mount["subPath"] == path:
                    files[mount["mountPath"]] = text
    return files


def _contents(source: Manifest, config: Manifest | None) -> dict[str, str]:
    data: dict[str, str] = (config or {}).get("data") or {}
    if items := source.get("items"):
        return {item["path"]: data[item["key"]] for item in items if item["key"] in data}
    return data
