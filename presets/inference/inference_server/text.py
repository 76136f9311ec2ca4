"""Tokens to text as they come: whole characters only, and nothing of a stop string or after one."""

from collections.abc import Sequence
from typing import Any

_BROKEN = "\ufffd"
"""How a tokenizer writes a character of which bytes are missing."""


class Text:
    def __init__(self, tokenizer: Any, stops: Sequence[str] = ()) -> None:
        self.stopped = False
        self._tokenizer, self._stops = tokenizer, [each for each in stops if each]
        self._ids: list[int] = []
        self._shown = 0
        self._read = 0
        self._held = ""

    def add(self, ids: Sequence[int]) -> str:
        """What is certain by now and was not given before."""
        self._ids.extend(ids)
        return self._cut(self._decoded(whole=True))

    def end(self) -> str:
        """The rest; there are no more tokens."""
        rest = self._cut(self._decoded(whole=False))
        if self.stopped:
            return rest
        held, self._held = self._held, ""
        return rest + held

    def _decoded(self, whole: bool) -> str:
        """By decoding a few tokens again: some tokenizers put a space by what went before."""
        before = self._text(self._ids[self._shown : self._read])
        now = self._text(self._ids[self._shown :])
        if (whole and now.endswith(_BROKEN)) or len(now) <= len(before):
            return ""
        self._shown, self._read = self._read, len(self._ids)
        return now[len(before) :]

    def _text(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def _cut(self, new: str) -> str:
        if self.stopped:
            return ""
        text = self._held + new
        found = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        keep = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """Characters at the text's end that may be the stop string's beginning."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)
