"""`reconciler demo`: the main job, end to end, on a development cluster."""

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .dev import known
from .options import Verbose
from .output import say

if TYPE_CHECKING:
    from ..dev.runtimes.models import Model

Folder = Annotated[Path, typer.Option("--dir", help="Where it keeps its files; emptied first.")]
Keep = Annotated[bool, typer.Option("--keep", help="Keep everything running until Ctrl-C.")]
Simulated = Annotated[
    bool, typer.Option("--simulated", help="Containers do no work; nothing is installed for them.")
]
Fast = Annotated[bool, typer.Option("--fast", help="Simulated, and that takes no time.")]
Chosen = Annotated[
    str, typer.Option("--model", help="The small model that is tuned and served: tiny or smollm2.")
]


def demo(
    folder: Folder = Path(".demo"),
    keep: Keep = False,
    model: Chosen = "tiny",
    simulated: Simulated = False,
    fast: Fast = False,
    verbose: Verbose = False,
) -> None:
    """Push three workspaces, see a model tuned and served, change one, remove another.

    Nodes are simulated; containers are processes that tune and serve a small model, the API server, Git
    server, cloud and daemon are processes too, all on this machine's loopback. Exit status: 0 when all was
    as expected, 1 with the reason otherwise.
    """
    chosen = None if simulated or fast else known(model)
    asyncio.run(_demo(folder, keep, fast, chosen))
    say("the demo is done: everything was as expected")


async def _demo(folder: Path, keep: bool, fast: bool, model: "Model | None") -> None:
    from ..dev.demo import Demo
    from ..dev.show import Show

    asked = asyncio.Event()
    if keep:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, asked.set)
    show = Show()
    try:
        wait = 1200.0 if model == "smollm2" else 240.0 if model else 120.0
        made = Demo(folder.resolve(), show, seconds=wait, fast=fast, model=model)
        await made.run(asked if keep else None)
    finally:
        show.close()
