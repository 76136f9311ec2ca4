"""What one generation is asked for, whichever API the request came by, and how a request is refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Sampling:
    max_tokens: int
    """New ones, at least 1."""
    temperature: float = 1.0
    """0: always the likeliest token."""
    top_p: float = 1.0
    top_k: int = 0
    """0: all of them."""
    seed: int | None = None
    """The same seed on the same prompt gives the same text, as far as rounding allows."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What only `generate()` can do, under its names; such a request is served outside the batch."""


@dataclass(frozen=True)
class Defaults:
    """Where a request says nothing: the model's own generation_config.json."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0


class Refused(Exception):
    """Answered with `status`; `parameter` and `code` are for OpenAI's error bodies."""

    def __init__(
        self,
        status: int,
        message: str,
        parameter: str | None = None,
        code: str | None = None,
        retry_after: int = 0,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.parameter, self.code = status, message, parameter, code
        self.headers = {"Retry-After": str(retry_after)} if retry_after else {}
        if status == 503:  # this server is going away: come back on another connection
            self.headers["Connection"] = "close"
