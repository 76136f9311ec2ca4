"""What one run of a container said, as the API's `log` subresource reads it."""

import asyncio
import io
import time
import weakref
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO

from reconciler.dev.clock import epoch

LONGEST_LINE = 16 * 1024
"""Bytes; more without a line's end is broken here, as container runtimes do."""


@dataclass(frozen=True, slots=True)
class LogOptions:
    """`tail` counts lines, None means all; `since` is in epoch seconds."""

    previous: bool = False
    follow: bool = False
    tail: int | None = None
    since: float = 0.0
    timestamps: bool = False

    @classmethod
    def of(cls, params: Mapping[str, str]) -> "LogOptions":
        """From a request's query. Raises ValueError."""
        asked = {name for name, value in params.items() if value.lower() in ("1", "t", "true")}
        since = epoch(params["sinceTime"]) if "sinceTime" in params else 0.0
        if "sinceSeconds" in params:
            since = time.time() - int(params["sinceSeconds"])
        tail = int(params["tailLines"]) if "tailLines" in params else None
        return cls("previous" in asked, "follow" in asked, tail, since, "timestamps" in asked)


class Log:
    """Lines, each kept with the time at which it was said; a last one without an end gets one."""

    def __init__(self, file: BinaryIO | None = None) -> None:
        self._file = file or io.BytesIO()
        weakref.finalize(self, self._file.close)  # whoever still reads it keeps it
        self._rest = b""
        self._ended = False
        self._grown = asyncio.Event()

    def write(self, now: float, text: bytes) -> None:
        *lines, self._rest = (self._rest + text).split(b"\n")
        while len(self._rest) > LONGEST_LINE:
            lines.append(self._rest[:LONGEST_LINE])
            self._rest = self._rest[LONGEST_LINE:]
        self._file.seek(0, io.SEEK_END)
        self._file.writelines(_stamp(now) + b" " + line + b"\n" for line in lines)
        self._tell()

    def end(self, now: float) -> None:
        self.write(now, b"\n" if self._rest else b"")
        self._ended = True
        self._tell()

    def _tell(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()

    def tail(self, lines: int, size: int) -> str:
        """The last lines, of at most `size` bytes."""
        said = b"".join(line.partition(b" ")[2] for line in self._lines(0)[-lines:])
        return said[-size:].decode(errors="replace")

    def _lines(self, position: int) -> list[bytes]:
        self._file.seek(position)
        return self._file.readlines()

    async def read(self, options: LogOptions) -> AsyncGenerator[bytes, None]:
        """Its lines in chunks; following, until the container ends."""
        since, position, skip = _stamp(options.since), 0, options.tail
        while True:
            grown, ended = self._grown, self._ended
            lines = self._lines(position)
            position += sum(map(len, lines))
            wanted = [line for line in lines if line >= since]
            if skip is not None:
                wanted, skip = wanted[max(0, len(wanted) - skip) :], None
            if wanted:
                yield b"".join(line if options.timestamps else line.partition(b" ")[2] for line in wanted)
            if ended or not options.follow:
                return
            await grown.wait()


def _stamp(now: float) -> bytes:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()
