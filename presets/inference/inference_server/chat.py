"""Kaito's `POST /chat`: a prompt or messages, options of `generate()`, an answer as {"Result": text}.

Defaults are those of Kaito's server (sampling, top-k 10); only the number of new tokens is this server's own.
"""

import asyncio
from dataclasses import replace
from typing import Any, NoReturn

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from . import prompts
from .admission import Gate
from .asked import Refused, Sampling
from .clients import while_there
from .generation import Generation
from .openai_requests import MAX_CHOICES, Message
from .settings import Settings

MAX_BEAMS = 16


class Options(BaseModel):
    """`generate_kwargs`: these are served in the batch, those of `_ALONE` beside it."""

    model_config = ConfigDict(extra="allow")
    max_length: int | None = Field(default=None, ge=1)
    max_new_tokens: int | None = Field(default=None, ge=1)
    do_sample: bool = True
    temperature: float | None = Field(default=1.0, ge=0, le=100)
    top_k: int | None = Field(default=10, ge=0, le=2**31 - 1)
    top_p: float | None = Field(default=1.0, gt=0, le=1)
    num_return_sequences: int | None = Field(default=1, ge=1, le=MAX_CHOICES)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)


class Chat(BaseModel):
    """What Kaito knows beside is accepted and without effect."""

    prompt: str | None = None
    messages: list[Message] | None = None
    return_full_text: bool = True
    prefix: str | None = None
    handle_long_generation: str | None = None
    generate_kwargs: Options = Options()


_ALONE: dict[str, tuple[Any, ...]] = {
    "num_beams": (1,),
    "early_stopping": (False,),
    "length_penalty": (1,),
    "min_length": (0,),
    "min_new_tokens": (0,),
    "no_repeat_ngram_size": (0,),
    "repetition_penalty": (1,),
    "typical_p": (1,),
    "min_p": (),
    "epsilon_cutoff": (0,),
    "eta_cutoff": (0,),
    "bad_words_ids": (),
    "suppress_tokens": (),
    "renormalize_logits": (False,),
}
"""What `generate()` does beside the batch, with the values that ask for nothing."""
_IGNORED = ("pad_token_id", "eos_token_id", "use_cache", "return_dict_in_generate", "output_scores")
"""Known better by the model itself, or of no meaning here."""


def router(settings: Settings, generation: Generation, gate: Gate) -> APIRouter:
    api = _Api(settings, generation, gate)
    made = APIRouter()
    made.add_api_route("/chat", api.chat, methods=["POST"], response_model=None)
    return made


class _Api:
    def __init__(self, settings: Settings, generation: Generation, gate: Gate) -> None:
        self._settings, self._generation, self._gate = settings, generation, gate

    async def chat(self, asked: Chat, request: Request) -> Response:
        options = asked.generate_kwargs
        release = self._gate.admit(options.num_return_sequences or 1)
        try:
            prompt = await self._prompt(asked)
            if asked.handle_long_generation == "hole":
                prompt = self._shortened(prompt, options)
            work = self._texts(prompt, self._sampling(prompt, options), options)
            texts = await while_there(request, work, self._settings.limits.request_seconds)
        finally:
            release()
        full = asked.return_full_text and asked.messages is None
        before = f"{asked.prefix or ''}{asked.prompt}" if full else ""
        return JSONResponse({"Result": "".join(before + text for text in texts)})

    async def _prompt(self, asked: Chat) -> list[int]:
        tokenizer = self._generation.tokenizer
        if asked.messages is not None:
            if not asked.messages:
                raise Refused(400, "Conversational parameter messages required")
            return await prompts.tokens(
                prompts.of_messages, tokenizer, [each.plain() for each in asked.messages]
            )
        if not asked.prompt:
            raise Refused(400, "Text generation parameter prompt required")
        return await prompts.tokens(prompts.of_text, tokenizer, f"{asked.prefix or ''}{asked.prompt}")

    def _shortened(self, prompt: list[int], options: Options) -> list[int]:
        """Its end, so that the answer has room (transformers' pipelines call this "hole")."""
        new = options.max_new_tokens or self._settings.limits.default_tokens
        capacity = self._generation.engines.capacity(self._settings.preset)
        return prompt[-max(1, capacity - new) :]

    def _sampling(self, prompt: list[int], options: Options) -> Sampling:
        drawn = options.do_sample and options.temperature != 0
        probe = Sampling(
            1,
            (options.temperature or 1.0) if drawn else 0.0,
            options.top_p or 1.0,
            options.top_k or 0,
            options.seed,
            _alone(options),
        )
        room = self._generation.room(self._settings.preset, prompt, probe)
        sampling = replace(probe, max_tokens=self._max_tokens(prompt, options, room))
        self._generation.check(self._settings.preset, prompt, sampling)
        return sampling

    def _max_tokens(self, prompt: list[int], options: Options, room: int) -> int:
        """`max_length` counts the prompt, too."""
        if options.max_new_tokens is not None:
            return options.max_new_tokens
        if options.max_length is None:
            return min(room, self._settings.limits.default_tokens)
        if options.max_length <= len(prompt):
            told = f"the prompt has {len(prompt)} tokens and max_length is {options.max_length}"
            raise Refused(400, f"{told}: nothing is left to generate")
        return min(room, options.max_length - len(prompt))

    async def _texts(self, prompt: list[int], sampling: Sampling, options: Options) -> list[str]:
        numbers = range(options.num_return_sequences or 1)
        seeds = [None if options.seed is None else options.seed + number for number in numbers]
        samplings = [replace(sampling, seed=seed) for seed in seeds]
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._generation.answer(self._settings.preset, prompt, each))
                for each in samplings
            ]
        return [task.result().text for task in tasks]


def _alone(options: Options) -> dict[str, Any]:
    """Raises Refused for what is neither known nor harmless."""
    found: dict[str, Any] = {}
    for key, value in (options.model_extra or {}).items():
        if key in _IGNORED or value is None or value in _ALONE.get(key, ()):
            continue
        if key not in _ALONE:
            _refuse(key, value, "is not supported")
        if key == "num_beams" and not (isinstance(value, int) and 1 <= value <= MAX_BEAMS):
            _refuse(key, value, f"is not within 1 and {MAX_BEAMS}")
        found[key] = value
    return found


def _refuse(key: str, value: Any, what: str) -> NoReturn:
    raise Refused(400, f"generate_kwargs.{key} = {str(value)[:60]} {what}")
