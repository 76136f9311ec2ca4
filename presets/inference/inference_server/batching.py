"""Continuous batching: requests join and leave a running batch token by token, over a paged KV cache.

One worker serves one set of adapters. transformers' worker knows nothing of adapters, and its cache shares
equal beginnings of prompts, which would be wrong between adapters; so every set has a worker and a cache of
its own, over the same weights.
"""

import asyncio
import logging
import math
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import torch
from artifacts.errors import RuntimeFailure
from transformers import ContinuousBatchingConfig, GenerationConfig

from . import drawing
from .asked import Sampling
from .engine import EngineFailed, Load, Tokens

LOG = logging.getLogger(__name__)
PAGE = 32
"""Tokens. Beginnings of prompts are shared by whole pages."""
BATCH_TOKENS = {"cpu": 512, "cuda": 4096}
"""In one step. A long prompt is read in parts of this size, between which the others go on."""
START_SECONDS = 300.0
STOP_SECONDS = 5.0
PATIENCE_SECONDS = 5.0
"""Between looks at whether the worker still lives, while no token comes."""


class Batching:
    def __init__(self, model: Any, end_ids: Sequence[int], cache_tokens: int, max_length: int) -> None:
        pages = max(2, cache_tokens // PAGE)
        self._cache_tokens = pages * PAGE
        self.capacity = min(max_length, self._cache_tokens)
        self._end_ids = list(end_ids)
        self._vocabulary: int = model.config.get_text_config().vocab_size
        config = ContinuousBatchingConfig(
            page_size=PAGE,
            num_blocks=pages,
            max_batch_tokens=min(BATCH_TOKENS.get(model.device.type, 512), self._cache_tokens),
        )
        greedy = GenerationConfig(do_sample=False, eos_token_id=self._end_ids or [-1])
        self._manager = model.init_continuous_batching(
            generation_config=greedy, continuous_batching_config=config
        )
        self._manager.logit_processor = drawing.processors(self._vocabulary)

    def start(self) -> None:
        self._manager.start()
        deadline = time.monotonic() + START_SECONDS
        while self._manager.batch_processor is None and time.monotonic() < deadline and not self.failure():
            time.sleep(0.01)
        if failed := self.failure():
            error = self._manager.background_thread_status.fatal_error
            if isinstance(error, torch.OutOfMemoryError | MemoryError):
                raise RuntimeFailure("OutOfMemory", failed, "lower limits.cacheTokens in the settings")
            raise RuntimeFailure("Bug", failed, "report it with the log above", retry=True)

    def failure(self) -> str:
        status = self._manager.background_thread_status
        if status.fatal_error is not None:
            return f"the batching worker died: {type(status.fatal_error).__name__}: {status.fatal_error}"
        return "" if self._manager.is_running() else "the batching worker does not run"

    def load(self) -> Load:
        """Pages that are only kept for prompts to come, and given up for any request, count as free."""
        processor = self._manager.batch_processor
        if processor is None:
            return Load(0, 0.0)
        active = list(processor.scheduler.active_requests.values())
        held = sum(PAGE * math.ceil(each.current_len() / PAGE) for each in active)
        return Load(len(active), min(1.0, held / self._cache_tokens))

    async def generate(
        self, prompt: list[int], sampling: Sampling, streamed: bool
    ) -> AsyncGenerator[Tokens, None]:
        name = uuid.uuid4().hex
        outputs: asyncio.Queue[Any] = asyncio.Queue()
        self._manager.register_result_handler(name, outputs.put_nowait)
        ended = False
        try:
            self._add(name, prompt, sampling, streamed)
            seen = 0
            while not ended:
                output = await self._next(outputs)
                ended = output.is_finished()
                if output.error is not None:
                    raise EngineFailed(output.error)
                new = output.generated_tokens[seen:]
                seen += len(new)
                yield Tokens(new, (output.timestamps or [])[-len(new) :] or [time.perf_counter()] * len(new))
        finally:
            if not ended:
                self._forget(name)

    def stop(self) -> None:
        self._manager.stop(hard_stop=True, timeout=STOP_SECONDS)

    def _add(self, name: str, prompt: list[int], sampling: Sampling, streamed: bool) -> None:
        added = self._manager.add_request(
            prompt,
            request_id=name,
            max_new_tokens=sampling.max_tokens,
            streaming=streamed,
            record_timestamps=not streamed,
            eos_token_id=self._end_ids,
            **drawing.arguments(sampling, self._vocabulary),
        )
        if added is None:
            raise EngineFailed(self.failure() or "the batching worker is stopping")

    async def _next(self, outputs: "asyncio.Queue[Any]") -> Any:
        while True:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    return await outputs.get()
            except TimeoutError:
                if (failed := self.failure()) and outputs.empty():
                    raise EngineFailed(failed) from None

    def _forget(self, name: str) -> None:
        """Ends a request nobody waits for, and drops what still comes of it."""
        self._manager.cancel_request(name)
        self._manager.output_router.result_handlers.pop(name, None)
        while self._manager.get_result(timeout=0) is not None:
            pass
