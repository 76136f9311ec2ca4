"""`reconciler demo`: the main job, end to end, on a development cluster."""

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer

from .options import Verbose
from .output import say

Folder = Annotated[Path, typer.Option("--dir", help="Where it keeps its files; emptied first.")]
Keep = Annotated[bool, typer.Option("--keep", help="Keep everything running until Ctrl-C.")]
Fast = Annotated[bool, typer.Option("--fast", help="Simulated things take no time.")]


def demo(
    folder: Folder = Path(".demo"), keep: Keep = False, fast: Fast = False, verbose: Verbose = False
) -> None:
    """Push three workspaces, see them served and tuned, change one, remove another.

    Nodes and containers are simulated; the API server, Git server, cloud and daemon are processes on
    this machine's loopback. Exit status: 0 when all was as expected, 1 with the reason otherwise.
    """
    asyncio.run(_demo(folder, keep, fast))
    say("the demo is done: everything was as expected")


async def _demo(folder: Path, keep: bool, fast: bool) -> None:
    from ..dev.demo import Demo
    from ..dev.show import Show

    asked = asyncio.Event()
    if keep:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, asked.set)
    show = Show()
    try:
        await Demo(folder.resolve(), show, fast=fast).run(asked if keep else None)
    finally:
        show.close()
