"""Our runtime images in a development cluster: rows of the image table, and a server of their data."""

import json
from collections.abc import Iterable
from pathlib import Path

from aiohttp import web

from reconciler.dev.node.images import Image
from reconciler.dev.sites import Site

from . import environment
from .models import DATA_SET, QUESTIONS, LocalRuntime

REPOSITORY = "runtime.development/reconciler"
"""`images.repository` in the settings of a daemon whose cluster does real work. Nothing is pulled from it."""


class DataServer(Site):
    """Serves the generated rows, where the tuning's downloader is sent for the documentation's data set."""

    def __init__(self, rows: Path) -> None:
        app = web.Application()

        async def send(_: web.Request) -> web.FileResponse:
            return web.FileResponse(rows)

        app.router.add_get(f"/{rows.name}", send)
        self._name = rows.name
        super().__init__(app)

    @property
    def rows_url(self) -> str:
        return f"{self.url}/{self._name}"

    @property
    def host(self) -> str:
        """For `images.allowHosts`."""
        return self.url.removeprefix("http://")


def stand_ins(runtime: LocalRuntime, presets: Iterable[str], rows_url: str) -> str:
    """The table that the images' programs read: local folders by preset, other URLs by URL."""
    models = dict.fromkeys(sorted(presets), runtime.model)
    return json.dumps({"models": models, "urls": {DATA_SET: rows_url}}, indent=2) + "\n"


def rows(runtime: LocalRuntime, table: Path) -> tuple[Image, ...]:
    """`table` is the file with the stand-ins."""
    env = {
        "PYTHONPATH": environment.python_path(),
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": str(runtime.threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "CUDA_VISIBLE_DEVICES": "",
        "RECONCILER_STAND_INS": str(table),
    }
    note = f"every model is stood in for by {runtime.about}; the documentation's data set by {QUESTIONS}"
    made = Image(
        image=f"{REPOSITORY}/tuning:*",
        python=str(Path(runtime.python).parents[1]),
        command=("python",),
        env=env,
        note=note,
    )
    serving = {"image": f"{REPOSITORY}/inference:*", "host_env": "HOST"}
    return made, made.model_copy(update=serving)
