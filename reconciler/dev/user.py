"""The demo's user: manifests of the documentation, a clone, and git."""

import asyncio
import os
import shutil
from pathlib import Path

from .. import data
from ..errors import ReconcilerError, Unavailable
from .home import Addresses

ARTIFACT = "adapters/phi-3-dolly:0.0.1"
MARK = ".reconciler-demo"
PUSH_SECRET = "registry-push"
_CONFIG = "dolly-qlora"
_PLACEHOLDERS = (
    "ACR_REPO_HERE.azurecr.io/IMAGE_NAME_HERE:0.0.1",
    "ACR_REPO_HERE.azurecr.io/ADAPTER_HERE:0.0.1",
)


class DemoFailed(ReconcilerError):
    reason = "DemoFailed"


def manifests(world: Addresses, config: Path | None) -> dict[str, str]:
    """The documentation's, with nothing but their placeholders filled in.

    `config` is a file with the ConfigMap `dolly-qlora`, which the tuning then names; None: Kaito's defaults.
    """
    image = f"{world.registry}/{ARTIFACT}"
    found: dict[str, str] = {}
    for path in sorted(data.path("presets/examples").glob("*.yaml")):
        text = path.read_text().replace("ACR_REGISTRY_SECRET_HERE", PUSH_SECRET)
        for placeholder in _PLACEHOLDERS:
            text = text.replace(placeholder, image)
        found[path.name] = text
    if config is not None:
        tuning = found["tuning-phi-3.yaml"]
        found["tuning-phi-3.yaml"] = tuning.replace(
            "  method: qlora\n", f"  method: qlora\n  config: {_CONFIG}\n"
        )
        found["tuning-config.yaml"] = config.read_text()
    return found


def change(clone: Path, strength: str) -> None:
    """One workspace changed, one removed."""
    adapted = clone / "workspaces" / "inference-phi-3-adapter.yaml"
    adapted.write_text(adapted.read_text().replace('strength: "1.0"', f'strength: "{strength}"'))
    (clone / "workspaces" / "inference-phi-3-mini.yaml").unlink()


async def cloned(url: str, folder: Path) -> Path:
    if not url:
        raise Unavailable("the demo needs `git`; install it and run again")
    folder.mkdir(parents=True)
    await git(folder, "init", "-q", "-b", "main")
    await git(folder, "remote", "add", "origin", url)
    (folder / "workspaces").mkdir()
    return folder


async def push(clone: Path, message: str) -> str:
    await git(clone, "add", "-A")
    await git(clone, "commit", "-q", "-m", message)
    await git(clone, "push", "-q", "origin", "main")
    return (await git(clone, "rev-parse", "HEAD")).strip()


async def git(folder: Path, *arguments: str) -> str:
    who = {"NAME": "Demo User", "EMAIL": "demo@example.com"}
    environment = {f"GIT_{role}_{k}": v for role in ("AUTHOR", "COMMITTER") for k, v in who.items()}
    child = await asyncio.create_subprocess_exec(
        "git",
        *arguments,
        cwd=folder,
        env={**os.environ, **environment, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate()
    if child.returncode != 0:
        raise DemoFailed(f"git {arguments[0]}: {err.decode().strip()}")
    return out.decode()


def emptied(root: Path) -> None:
    """Only a folder that an earlier demo made is emptied."""
    if root.exists() and any(root.iterdir()) and not (root / MARK).exists():
        raise DemoFailed(f"{root} holds something else than a demo; name another folder with --dir")
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    (root / MARK).touch()
