"""`reconciler run`: the daemon in the foreground."""

import asyncio
import signal
import sys
from typing import Annotated, Literal

import typer

from .. import config
from .options import Settings, Verbose
from .output import say

Log = Annotated[
    Literal["json", "console"] | None,
    typer.Option("--log", help="By default console on a terminal, else json.", show_default=False),
]


def run(settings_file: Settings, log: Log = None, verbose: Verbose = False) -> None:
    """Run the daemon until SIGTERM or SIGINT, then flush the status and release the lease.

    Exit status: 0 after a signal, 1 when the settings are wrong or a part of the daemon failed.
    """
    from .. import telemetry  # with all that only a daemon needs, which takes seconds to import

    settings = config.load(settings_file)
    as_json = not sys.stderr.isatty() if log is None else log == "json"
    telemetry.configure_logging(json=as_json, verbose=verbose)
    asyncio.run(_until_signalled(settings))


async def _until_signalled(settings: config.Settings) -> None:
    daemon = asyncio.create_task(_daemon(settings), name="daemon")
    asked = asyncio.Event()

    def stop() -> None:
        asked.set()
        daemon.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        await daemon
    except asyncio.CancelledError:
        if not asked.is_set():
            raise


async def _daemon(settings: config.Settings) -> None:
    from ..wiring import running

    async with running(settings) as started:
        say(f"{settings.cluster}: metrics and probes at http://{settings.web.host}:{started.port}")
        sys.stdout.flush()
        await started.daemon.run()
