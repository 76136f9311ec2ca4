"""OpenAI's API: `/v1/completions`, `/v1/chat/completions`, `/v1/models`."""

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from . import prompts
from .admission import Gate
from .asked import Refused, Sampling
from .clients import Events, until, while_there
from .engine import EngineFailed
from .generation import Answer, Generation, Piece
from .openai_requests import MAX_PROMPTS, ChatCompletion, Completion
from .openai_requests import Request as Asked
from .settings import Settings

_ToTokens = Callable[[Any, Any], list[int]]


@dataclass(frozen=True)
class _Job:
    """Choice by choice what is to be generated, and how it is told."""

    model: str
    prompts: list[list[int]]
    samplings: list[Sampling]
    stops: list[str]
    chat: bool
    usage: bool

    @property
    def choices(self) -> list[tuple[list[int], Sampling]]:
        return [(prompt, sampling) for prompt in self.prompts for sampling in self.samplings]


def router(settings: Settings, generation: Generation, gate: Gate) -> APIRouter:
    api = _Api(settings, generation, gate)
    made = APIRouter(prefix="/v1")
    made.add_api_route("/chat/completions", api.chat, methods=["POST"], response_model=None)
    made.add_api_route("/completions", api.complete, methods=["POST"], response_model=None)
    made.add_api_route("/models", api.models, methods=["GET"], response_model=None)
    return made


class _Api:
    def __init__(self, settings: Settings, generation: Generation, gate: Gate) -> None:
        self._settings, self._generation, self._gate = settings, generation, gate
        self._created = int(time.time())

    async def chat(self, asked: ChatCompletion, request: Request) -> Response:
        messages = [each.plain() for each in asked.messages]
        return await self._answer(asked, [messages], prompts.of_messages, request)

    async def complete(self, asked: Completion, request: Request) -> Response:
        given: list[Any] = asked.prompt if isinstance(asked.prompt, list) else [asked.prompt]
        if given and isinstance(given[0], int):
            given = [given]
        if not 0 < len(given) <= MAX_PROMPTS:
            raise Refused(400, f"send 1 to {MAX_PROMPTS} prompts", "prompt")
        return await self._answer(asked, given, prompts.of_given, request)

    async def models(self) -> Response:
        root, adapters = self._settings.preset, {each.name for each in self._settings.adapters}
        listed = [
            {
                "id": name,
                "object": "model",
                "created": self._created,
                "owned_by": "reconciler",
                "root": name if name in adapters else root,
                "parent": root if name in adapters else None,
                "max_model_len": self._generation.engines.capacity(name),
            }
            for name in self._generation.engines.names
        ]
        return JSONResponse({"object": "list", "data": listed})

    async def _answer(self, asked: Asked, given: list[Any], of: _ToTokens, request: Request) -> Response:
        asked.check()
        release, goes_on = self._gate.admit(len(given) * (asked.n or 1)), False
        try:
            made = [await prompts.tokens(of, self._generation.tokenizer, each) for each in given]
            job = self._job(asked, made)
            if asked.stream:
                response, goes_on = Events(self._events(job), release), True
                return response
            seconds = self._settings.limits.request_seconds
            return JSONResponse(_told(job, await while_there(request, self._answers(job), seconds)))
        finally:
            if not goes_on:
                release()

    def _job(self, asked: Asked, made: list[list[int]]) -> _Job:
        model = asked.model or self._settings.preset
        probe = asked.sampling(self._generation.defaults, 1)
        room = min(self._generation.room(model, each, probe) for each in made)
        usual = min(room, self._settings.limits.default_tokens)
        sampling = replace(probe, max_tokens=asked.limit() or usual)
        for each in made:
            self._generation.check(model, each, sampling)
        seeds = [None if asked.seed is None else asked.seed + number for number in range(asked.n or 1)]
        samplings = [replace(sampling, seed=seed) for seed in seeds]
        chat = isinstance(asked, ChatCompletion)
        return _Job(model, made, samplings, asked.stops, chat, asked.wants_usage)

    async def _answers(self, job: _Job) -> list[Answer]:
        of = self._generation.answer
        tasks = [asyncio.ensure_future(of(job.model, *each, job.stops)) for each in job.choices]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _events(self, job: _Job) -> AsyncGenerator[str, None]:
        head, generated = _head(job, streamed=True), 0
        try:
            if job.chat:
                for index in range(len(job.choices)):
                    yield _event(head, [_delta(index, {"role": "assistant", "content": ""}, None)])
            merged = until(self._settings.limits.request_seconds, self._merged(job))
            async with contextlib.aclosing(merged) as pieces:  # type: ignore[type-var]
                async for index, piece in pieces:
                    generated += piece.tokens
                    if piece.text or piece.finish:
                        yield _event(head, [_choice(job, index, piece)])
            if job.usage:
                yield _event(head, [], _usage(job, generated))
        except (Refused, EngineFailed) as error:
            status = error.status if isinstance(error, Refused) else 500
            yield f"data: {json.dumps({'error': {'message': str(error), 'code': status}})}\n\n"
        yield "data: [DONE]\n\n"

    async def _merged(self, job: _Job) -> AsyncGenerator[tuple[int, Piece], None]:
        """Pieces of all choices, as they come."""
        came: asyncio.Queue[tuple[int, Piece | BaseException | None]] = asyncio.Queue()
        tasks = [
            asyncio.create_task(self._feed(job, index, came.put_nowait)) for index in range(len(job.choices))
        ]
        try:
            left = len(tasks)
            while left:
                index, piece = await came.get()
                if isinstance(piece, BaseException):
                    raise piece
                if piece is None:
                    left -= 1
                else:
                    yield index, piece
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _feed(
        self, job: _Job, index: int, put: Callable[[tuple[int, Piece | BaseException | None]], None]
    ) -> None:
        prompt, sampling = job.choices[index]
        try:
            async with contextlib.aclosing(
                self._generation.pieces(job.model, prompt, sampling, job.stops, streamed=True)
            ) as pieces:
                async for piece in pieces:
                    put((index, piece))
            put((index, None))
        except Exception as error:
            put((index, error))


def _head(job: _Job, streamed: bool) -> dict[str, Any]:
    kind = ("chat.completion.chunk" if streamed else "chat.completion") if job.chat else "text_completion"
    name = f"{'chatcmpl' if job.chat else 'cmpl'}-{uuid.uuid4().hex}"
    return {"id": name, "object": kind, "created": int(time.time()), "model": job.model}


def _told(job: _Job, answers: list[Answer]) -> dict[str, Any]:
    choices = [
        {
            "index": index,
            "finish_reason": each.finish,
            "logprobs": None,
            **({"message": {"role": "assistant", "content": each.text}} if job.chat else {"text": each.text}),
        }
        for index, each in enumerate(answers)
    ]
    usage = _usage(job, sum(each.tokens for each in answers))
    return {**_head(job, streamed=False), "choices": choices, "usage": usage}


def _choice(job: _Job, index: int, piece: Piece) -> dict[str, Any]:
    if job.chat:
        return _delta(index, {"content": piece.text} if piece.text else {}, piece.finish)
    return {"index": index, "text": piece.text, "logprobs": None, "finish_reason": piece.finish}


def _delta(index: int, delta: dict[str, str], finish: str | None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}


def _event(head: dict[str, Any], choices: list[dict[str, Any]], usage: dict[str, int] | None = None) -> str:
    told = {**head, "choices": choices} | ({"usage": usage} if usage else {})
    return f"data: {json.dumps(told, ensure_ascii=False)}\n\n"


def _usage(job: _Job, generated: int) -> dict[str, int]:
    prompt = sum(len(each) for each in job.prompts)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": generated,
        "total_tokens": prompt + generated,
    }
