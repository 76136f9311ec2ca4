"""A file on its way: what came of it, kept across restarts in hidden files beside the data."""

import hashlib
import os
from pathlib import Path

from pydantic import BaseModel, ValidationError


class State(BaseModel):
    """Of one file; written when a download begins, and again when it is whole."""

    url: str
    """SHA-256 of it: it may hold a secret."""
    validator: str = ""
    """What the server knows this version of the content by; empty: it cannot be resumed."""
    size: int = -1
    """Of the whole file, once it came."""


class Draft:
    """`final` gets its content in one step, when all is there and checked."""

    def __init__(self, url: str, final: Path) -> None:
        self.final = final
        final.parent.mkdir(parents=True, exist_ok=True)
        self.part = final.with_name(f".{final.name}.part")
        self._file = final.with_name(f".{final.name}.state")
        self._url = hashlib.sha256(url.encode()).hexdigest()
        self.state = self._load()

    @property
    def size(self) -> int:
        """Bytes that came."""
        return self.part.stat().st_size if self.part.exists() else 0

    @property
    def is_whole(self) -> bool:
        """All bytes came, also where a stop kept the file from getting its name."""
        return self.state.size >= 0 and self.state.size == self.size

    @property
    def is_finished(self) -> bool:
        size = self.state.size
        return size >= 0 and self.final.is_file() and self.final.stat().st_size == size

    def begin(self, validator: str) -> None:
        """Anew."""
        self.discard()
        self._save(State(url=self._url, validator=validator))

    def discard(self) -> None:
        for path in (self.part, self.final, self._file):
            path.unlink(missing_ok=True)
        self.state = State(url=self._url)

    def finish(self) -> None:
        """Also after a stop between its two steps."""
        with self.part.open("rb") as file:
            os.fsync(file.fileno())
        self._save(self.state.model_copy(update={"size": self.size}))
        self.part.replace(self.final)

    def _load(self) -> State:
        """That of another URL is as good as none."""
        try:
            state = State.model_validate_json(self._file.read_bytes())
        except (FileNotFoundError, ValidationError):
            state = State(url="")
        return state if state.url == self._url else State(url=self._url)

    def _save(self, state: State) -> None:
        self.state = state
        fresh = self._file.with_name(f"{self._file.name}.new")
        fresh.write_text(state.model_dump_json(), encoding="utf-8")
        fresh.replace(self._file)
