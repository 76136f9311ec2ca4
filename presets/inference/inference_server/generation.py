"""From a prompt's tokens to text: checks that it fits, counts, measures, and cuts at stop strings."""

import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .asked import Defaults, Refused, Sampling
from .engine import Engine, EngineFailed
from .engines import Engines
from .metrics import Metrics
from .text import Text

Finish = Literal["stop", "length"]


@dataclass(frozen=True)
class Piece:
    text: str
    tokens: int
    """New ones; of some the text is not certain yet, or never shown."""
    finish: Finish | None = None


@dataclass(frozen=True)
class Answer:
    text: str
    tokens: int
    finish: Finish


class Generation:
    """One served model, with all its names."""

    def __init__(self, engines: Engines, tokenizer: Any, end_ids: Sequence[int], defaults: Defaults) -> None:
        self.engines, self.tokenizer, self.defaults = engines, tokenizer, defaults
        self.metrics = Metrics()
        self._end_ids = frozenset(end_ids)

    def room(self, name: str, prompt: Sequence[int], sampling: Sampling) -> int:
        """Tokens that can follow the prompt. Raises Refused: 404 for an unknown model, 400 where none can."""
        capacity = self._engine(name, sampling).capacity
        if not prompt:
            raise Refused(400, "the prompt is empty")
        if len(prompt) >= capacity:
            told = f"the prompt has {len(prompt)} tokens, and prompt and answer may have {capacity} together"
            raise Refused(400, told, code="context_length_exceeded")
        return capacity - len(prompt)

    def check(self, name: str, prompt: Sequence[int], sampling: Sampling) -> None:
        """Raises Refused as `room` does, and (400) where what is asked for does not fit."""
        room = self.room(name, prompt, sampling)
        if sampling.max_tokens > room:
            told = (
                f"the prompt has {len(prompt)} tokens and {sampling.max_tokens} more are asked for; "
                f"together they may be {room + len(prompt)}"
            )
            raise Refused(400, told, code="context_length_exceeded")

    async def pieces(
        self, name: str, prompt: list[int], sampling: Sampling, stops: Sequence[str], streamed: bool
    ) -> AsyncGenerator[Piece, None]:
        """Ends with a piece that says why. Closing it early cancels. Raises EngineFailed."""
        watch = _Watch(self.metrics, name, len(prompt))
        text = Text(self.tokenizer, stops)
        tokens = self._engine(name, sampling).generate(prompt, sampling, streamed or bool(stops))
        last = -1
        try:
            async for each in tokens:
                watch.saw(len(each.ids), each.times)
                last = each.ids[-1] if each.ids else last
                said = text.add([one for one in each.ids if one not in self._end_ids])
                if text.stopped:
                    break
                yield Piece(said, len(each.ids))
            if text.stopped:
                yield Piece(said, len(each.ids), "stop")
            else:
                yield Piece(text.end(), 0, "stop" if text.stopped or last in self._end_ids else "length")
            watch.done()
        finally:
            watch.left()
            await tokens.aclose()

    async def answer(
        self, name: str, prompt: list[int], sampling: Sampling, stops: Sequence[str] = ()
    ) -> Answer:
        said, tokens, finish = [], 0, None
        async for piece in self.pieces(name, prompt, sampling, stops, streamed=False):
            said.append(piece.text)
            tokens += piece.tokens
            finish = piece.finish or finish
        if finish is None:
            raise EngineFailed("the generation has no end")
        return Answer("".join(said), tokens, finish)

    def _engine(self, name: str, sampling: Sampling) -> Engine:
        try:
            return self.engines.of(name, sampling)
        except KeyError:
            told = f"no model {name!r} is served here; GET /v1/models lists those that are"
            raise Refused(404, told, "model", "model_not_found") from None


class _Watch:
    """Measures one generation."""

    def __init__(self, metrics: Metrics, name: str, prompt: int) -> None:
        self._metrics, self._name = metrics, name
        self._began, self._last, self._ended = time.perf_counter(), 0.0, False
        metrics.prompt_tokens.labels(name).inc(prompt)

    def saw(self, tokens: int, times: Sequence[float]) -> None:
        for at in times:
            if self._last:
                self._metrics.between_tokens.observe(at - self._last)
            else:
                self._metrics.first_token.observe(at - self._began)
            self._last = at
        self._metrics.generated_tokens.labels(self._name).inc(tokens)

    def done(self) -> None:
        self._ended = True
        self._metrics.seconds.observe(time.perf_counter() - self._began)

    def left(self) -> None:
        if not self._ended:
            self._metrics.cancelled.inc()
