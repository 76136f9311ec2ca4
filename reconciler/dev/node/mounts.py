"""A container's folder: where its mounts are, and what its texts must say so that it finds them.

Processes of a plain user have no file system of their own. Each container gets a root folder with its
mounts below (`/mnt/data` is `<root>/mnt/data`): files from the API are written there, directories are
links to the pod's or the claim's folder. Mount paths at the start of a path in command, arguments,
environment and files from the API are rewritten. A program that computes such a path finds the root in
`RECONCILER_ROOT`. All other paths are this machine's. Nothing is read-only, nothing is confined.
"""

import contextlib
import os
import re
import shutil
from pathlib import Path

from reconciler.model.world import Manifest

from .runtime import NotStarted, Work
from .sources import mounted

API_VOLUMES = {"configMap", "secret", "projected", "downwardAPI"}


class Root:
    """Made anew for each start. Raises NotStarted where a volume cannot be had."""

    def __init__(self, folder: Path, work: Work) -> None:
        self.path = _inside(folder, f"pods/{work.pod['metadata']['uid']}/{work.container['name']}")
        self._folder = folder
        self._mounts = work.container.get("volumeMounts") or []
        shutil.rmtree(self.path, ignore_errors=True)
        (self.path / "tmp").mkdir(parents=True)
        message = work.container.get("terminationMessagePath") or "/dev/termination-log"
        paths = [message, *(mount["mountPath"].rstrip("/") for mount in self._mounts)]
        if "" in paths or any("subPathExpr" in mount for mount in self._mounts):
            raise NotStarted("CreateContainerError", "a volume cannot be mounted at / or by subPathExpr")
        paths.sort(key=len, reverse=True)
        any_of = "|".join(map(re.escape, paths))
        self._pattern = re.compile(rf"(?:(?<![\w.~/-])|(?<=file://))(?:{any_of})(?![\w.-])")
        self.message_file = self.at(message)
        self._fill(work)
        self.message_file.parent.mkdir(parents=True, exist_ok=True)
        self.message_file.touch()

    def at(self, path: str) -> Path:
        return _inside(self.path, path)

    def here(self, text: str) -> str:
        """`text` with mount paths as they are on this machine."""
        return self._pattern.sub(lambda found: f"{self.path}{found[0]}", text)

    def _fill(self, work: Work) -> None:
        volumes = {volume["name"]: volume for volume in work.pod["spec"].get("volumes") or []}
        for mount in sorted(self._mounts, key=lambda mount: str(mount["mountPath"])):
            volume, place = volumes[mount["name"]], self.at(mount["mountPath"])
            if not volume.keys() & API_VOLUMES:
                target = _inside(self._directory(work, volume), mount.get("subPath", ""))
                target.mkdir(parents=True, exist_ok=True)
                place.parent.mkdir(parents=True, exist_ok=True)
                if place.is_symlink():  # mounted within a volume that another container mounts too
                    place.unlink()
                place.symlink_to(target)
            elif "subPath" not in mount:
                place.mkdir(parents=True, exist_ok=True)
        for path, file in mounted(work).items():
            place = self.at(path)
            place.parent.mkdir(parents=True, exist_ok=True)
            data = file.data
            with contextlib.suppress(UnicodeDecodeError):  # binary files stay as they are
                data = self.here(data.decode()).encode()
            place.write_bytes(data)
            place.chmod(file.mode | 0o200)

    def _directory(self, work: Work, volume: Manifest) -> Path:
        if "emptyDir" in volume:
            return _inside(self.path.parent, f".volumes/{volume['name']}")
        if claim := volume.get("persistentVolumeClaim"):
            return _inside(self._folder, f"claims/{work.namespace}/{claim['claimName']}")
        kind = next(iter(volume.keys() - {"name"}), "without a source")
        served = ", ".join(sorted(API_VOLUMES | {"emptyDir", "persistentVolumeClaim"}))
        told = f'volume "{volume["name"]}" ({kind}) is refused: a local process gets {served}'
        raise NotStarted("CreateContainerError", told)


def _inside(folder: Path, path: str) -> Path:
    """`path` below `folder`, whatever dots it holds."""
    return folder / os.path.normpath("/" + path).lstrip("/")
