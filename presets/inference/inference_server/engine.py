"""What generates tokens: a batching worker, or `generate()` one request after the other."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from .asked import Sampling


@dataclass(frozen=True)
class Tokens:
    """Those that came together, and when each was made (`time.perf_counter`)."""

    ids: list[int]
    times: list[float]


@dataclass(frozen=True)
class Load:
    batch: int
    """Requests that are being generated for."""
    cache: float
    """Share of the KV cache in use, 0 to 1."""


class EngineFailed(Exception):
    """A generation ended by the engine's fault."""


class Engine(Protocol):
    capacity: int
    """Tokens of prompt and answer together, of one request."""

    def start(self) -> None:
        """Raises RuntimeFailure where it cannot serve."""

    def failure(self) -> str:
        """Why it serves no more; empty while it does."""

    def load(self) -> Load: ...

    def generate(self, prompt: list[int], sampling: Sampling, streamed: bool) -> AsyncGenerator[Tokens, None]:
        """New tokens, the end token included; all at once where not `streamed`. Closing it cancels."""

    def stop(self) -> None: ...
