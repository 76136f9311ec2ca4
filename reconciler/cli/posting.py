"""Telling a forge from CI what the daemon would tell it, where the daemon cannot reach it."""

import asyncio
from typing import Annotated

import typer

from ..config import Settings
from ..errors import InvalidSpec
from ..model.review import Check

Post = Annotated[
    str | None,
    typer.Option(
        "--post",
        metavar="SHA",
        help="Also tell it as a check of this commit, on the forge of --config.",
        show_default=False,
    ),
]


def post(settings: Settings | None, sha: str, check: Check) -> None:
    """Raises InvalidSpec without a forge, and what the forge's driver raises."""
    if settings is None or settings.forge is None:
        raise InvalidSpec("--post needs --config with a forge")
    if len(sha) != 40 or set(sha) - set("0123456789abcdef"):
        raise InvalidSpec(f"--post {sha!r} is no commit: give all 40 digits")
    asyncio.run(_posted(settings, sha, check))


async def _posted(settings: Settings, sha: str, check: Check) -> None:
    from ..forge import connect

    assert settings.forge is not None
    forge = connect(settings.forge)
    try:
        await forge.post(sha, check)
    finally:
        await forge.close()
