"""Kaito's `POST /chat` by OpenAI's API: `prompt` becomes a completion, `messages` a chat completion."""

from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TypeAlias

import httpx
from pydantic import BaseModel, Field, ValidationError

Ask: TypeAlias = Callable[[str, dict[str, Any]], Awaitable[httpx.Response]]
"""Posts to a path of vLLM's."""

_SAME = ("temperature", "top_p", "top_k", "repetition_penalty")
_RENAMED = {"min_new_tokens": "min_tokens", "num_return_sequences": "n", "seed": "seed"}
_WITHOUT_EFFECT = {
    "num_beams": (1,),
    "early_stopping": (False,),
    "typical_p": (1, 1.0),
    "min_length": (0,),
    "use_cache": (True,),
}
"""Values that change nothing; vLLM has no way to honour others."""
_IGNORED = ("pad_token_id", "eos_token_id", "do_sample", "max_length", "max_new_tokens")
"""Read elsewhere, or known better by the model itself."""


class Chat(BaseModel):
    """As Kaito's server takes it; what it knows beside is accepted and without effect."""

    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    return_full_text: bool = True
    generate_kwargs: dict[str, Any] = Field(default_factory=dict)


class Refused(Exception):
    """To be answered with `status` and `detail`."""

    def __init__(self, status: int, detail: Any) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


async def answer(ask: Ask, model: str, body: bytes, default_tokens: int) -> str:
    """The generated text, of several sequences one after the other; raises Refused."""
    try:
        chat = Chat.model_validate_json(body)
    except ValidationError as error:
        raise Refused(
            422, error.errors(include_url=False, include_input=False, include_context=False)
        ) from error
    said: dict[str, Any] = {"model": model, **_sampling(chat.generate_kwargs)}
    if chat.messages is not None:
        said |= {"messages": chat.messages}
    elif chat.prompt is not None:
        said |= {"prompt": chat.prompt}
    else:
        raise Refused(400, "Text generation parameter prompt required")
    said["max_tokens"] = await _max_tokens(ask, said, chat.generate_kwargs, default_tokens)
    if chat.messages is not None:
        choices = await _choices(ask, "/v1/chat/completions", said)
        return "".join(each["message"]["content"] or "" for each in choices)
    before = chat.prompt if chat.return_full_text else ""
    return "".join(f"{before}{each['text']}" for each in await _choices(ask, "/v1/completions", said))


def _sampling(asked: dict[str, Any]) -> dict[str, Any]:
    said = {key: asked[key] for key in _SAME if asked.get(key) is not None}
    said |= {new: asked[old] for old, new in _RENAMED.items() if asked.get(old) is not None}
    if asked.get("do_sample") is False:
        said["temperature"] = 0
    for key, value in asked.items():
        if key in _WITHOUT_EFFECT and (value is None or value in _WITHOUT_EFFECT[key]):
            continue
        if key not in (*_SAME, *_RENAMED, *_IGNORED):
            raise Refused(
                400, f"generate_kwargs.{key} = {str(value)[:60]} is not supported by the vLLM runtime"
            )
    return said


async def _max_tokens(ask: Ask, said: dict[str, Any], asked: dict[str, Any], default: int) -> int:
    """`max_length` counts the prompt too, so the prompt's tokens are asked for."""
    if (new := asked.get("max_new_tokens")) is not None:
        return _number("max_new_tokens", new)
    if asked.get("max_length") is None:
        return default
    most = _number("max_length", asked["max_length"])
    prompt = {key: value for key, value in said.items() if key in ("model", "prompt", "messages")}
    counted = await ask("/tokenize", prompt)
    if counted.status_code != httpx.codes.OK:
        _refuse(counted)
    left = most - int(counted.json()["count"])
    if left < 1:
        raise Refused(
            400, f"the prompt has {most - left} tokens and max_length is {most}: nothing is left to generate"
        )
    return left


def _number(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Refused(400, f"generate_kwargs.{key} must be a whole number above 0")
    return value


async def _choices(ask: Ask, path: str, said: dict[str, Any]) -> list[dict[str, Any]]:
    answered = await ask(path, said)
    if answered.status_code != httpx.codes.OK:
        _refuse(answered)
    choices: list[dict[str, Any]] = answered.json()["choices"]
    return choices


def _refuse(answered: httpx.Response) -> NoReturn:
    """With vLLM's own words."""
    try:
        detail = answered.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        detail = answered.text[:1000]
    raise Refused(answered.status_code, detail)
