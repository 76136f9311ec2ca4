"""Helm's own engine on our chart."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import helm_python as helm
import yaml

CHART = Path(__file__).resolve().parents[2] / "charts" / "reconciler"
NAMESPACE, RELEASE = "reconciler-system", "reconciler"


def values(**config: Any) -> dict[str, Any]:
    """The least there must be, and these settings."""
    least = {"cluster": "test", "engine": "native", "source": {"url": "https://git.example.com/w.git"}}
    return {"config": {**least, **config}}


def rendered(values: Mapping[str, Any], chart: Path = CHART) -> list[dict[str, Any]]:
    """Every object. Raises HelmError in Helm's words."""
    with helm.Chart.load(chart) as loaded:
        files = loaded.render(dict(values), name=RELEASE, namespace=NAMESPACE)
    return list(_objects(files))


def _objects(files: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for path, text in sorted(files.items()):
        if path.endswith(".yaml"):
            yield from filter(None, yaml.safe_load_all(text))


def one(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = (each for each in objects if each["kind"] == kind)
    return found


def settings_in(objects: list[dict[str, Any]]) -> str:
    """What the daemon's settings file will hold."""
    maps = (each for each in objects if each["kind"] == "ConfigMap")
    return next(each["data"]["reconciler.yaml"] for each in maps if "reconciler.yaml" in each["data"])


class Helm:
    """Releases in one cluster. `storage` is `secret`, or `memory` where a server reads no protobuf."""

    def __init__(self, kubeconfig: Path, storage: str) -> None:
        self._config = helm.Config(kubeconfig_path=kubeconfig, namespace=NAMESPACE, storage_driver=storage)

    async def install(self, values: Mapping[str, Any], chart: Path = CHART, **options: Any) -> dict[str, Any]:
        return await asyncio.to_thread(
            self._config.install, chart, RELEASE, dict(values), namespace=NAMESPACE, **options
        )

    async def upgrade(self, values: Mapping[str, Any], chart: Path = CHART) -> dict[str, Any]:
        return await asyncio.to_thread(
            self._config.upgrade, chart, RELEASE, dict(values), namespace=NAMESPACE
        )

    async def uninstall(self) -> None:
        await asyncio.to_thread(self._config.uninstall, RELEASE)

    def close(self) -> None:
        self._config.close()
