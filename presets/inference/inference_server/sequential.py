"""`generate()`, one request after the other: for what cannot be batched, models or options.

Beams, penalties and the like look at a whole sequence, which the batch's processors do not see.
"""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList
from transformers.generation.streamers import BaseStreamer

from .asked import Sampling
from .engine import EngineFailed, Load, Tokens


class Sequential:
    def __init__(self, model: Any, end_ids: Sequence[int], max_length: int) -> None:
        self.capacity = max_length
        self._model, self._end_ids = model, list(end_ids)
        self._turn = asyncio.Lock()

    def start(self) -> None:
        self._model.eval()

    def failure(self) -> str:
        return ""

    def load(self) -> Load:
        return Load(int(self._turn.locked()), 0.0)

    async def generate(
        self, prompt: list[int], sampling: Sampling, streamed: bool
    ) -> AsyncGenerator[Tokens, None]:
        """Beams come all at once, streamed or not."""
        async with self._turn:
            came: asyncio.Queue[Tokens | None] = asyncio.Queue()
            loop, left = asyncio.get_running_loop(), threading.Event()

            def put(tokens: Tokens | None) -> None:
                loop.call_soon_threadsafe(came.put_nowait, tokens)

            work = asyncio.create_task(asyncio.to_thread(self._run, prompt, sampling, put, left))
            work.add_done_callback(lambda _: came.put_nowait(None))
            try:
                while (tokens := await came.get()) is not None:
                    yield tokens
                if error := work.exception():
                    raise EngineFailed(f"{type(error).__name__}: {error}") from error
            finally:
                left.set()
                # The thread cannot be cancelled; the next one must not start beside it.
                await asyncio.wait({work})

    def stop(self) -> None:
        pass

    def _run(
        self,
        prompt: list[int],
        sampling: Sampling,
        put: Callable[[Tokens | None], None],
        left: threading.Event,
    ) -> None:
        if sampling.seed is not None:
            torch.manual_seed(sampling.seed)
        beams = sampling.extra.get("num_beams", 1) > 1
        ids = torch.tensor([prompt], device=self._model.device)
        with torch.no_grad():
            made = self._model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                generation_config=self._config(sampling),
                streamer=None if beams else _Streamer(put),
                stopping_criteria=StoppingCriteriaList([_Left(left)]),
            )
        if beams:
            new = made[0, len(prompt) :].tolist()
            put(Tokens(new, [time.perf_counter()] * len(new)))

    def _config(self, sampling: Sampling) -> GenerationConfig:
        drawn = sampling.temperature > 0
        chosen = (
            {
                "do_sample": True,
                "temperature": float(sampling.temperature),
                "top_p": float(sampling.top_p),
                "top_k": sampling.top_k,
            }
            if drawn
            else {"do_sample": False}
        )
        return GenerationConfig(
            max_new_tokens=sampling.max_tokens,
            eos_token_id=self._end_ids or None,
            pad_token_id=self._end_ids[0] if self._end_ids else 0,
            **chosen,
            **sampling.extra,
        )


class _Left(StoppingCriteria):
    """Stops when the client has gone."""

    def __init__(self, left: threading.Event) -> None:
        self._left = left

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        return torch.full((input_ids.shape[0],), self._left.is_set(), device=input_ids.device)


class _Streamer(BaseStreamer):
    def __init__(self, put: Callable[[Tokens | None], None]) -> None:
        self._put, self._prompt = put, True

    def put(self, value: torch.Tensor) -> None:
        """The prompt first, then each token."""
        if self._prompt:
            self._prompt = False
            return
        ids = value.flatten().tolist()
        self._put(Tokens(ids, [time.perf_counter()] * len(ids)))

    def end(self) -> None:
        pass
