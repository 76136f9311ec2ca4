"""Texts and conversations to the tokens of a prompt."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from .asked import Refused

_LONG = 16 * 1024
"""Characters."""


def of_text(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text)["input_ids"]
    return ids


def of_ids(tokenizer: Any, ids: Sequence[int]) -> list[int]:
    """Raises Refused where the model has no such tokens."""
    size = len(tokenizer)
    if any(not 0 <= each < size for each in ids):
        raise Refused(400, f"token ids are 0 to {size - 1}", "prompt")
    return list(ids)


def of_messages(tokenizer: Any, messages: Sequence[dict[str, str]]) -> list[int]:
    """By the model's chat template. Raises Refused where it has none, or refuses the conversation."""
    if not tokenizer.chat_template:
        raise Refused(400, "this model has no chat template; use /v1/completions", "messages")
    try:
        made = tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, return_dict=True)
    except Exception as error:  # what a template raises is up to its author
        raise Refused(400, f"the model's chat template refuses the messages: {error}", "messages") from error
    ids: list[int] = made["input_ids"]
    return ids


def of_given(tokenizer: Any, given: str | list[int]) -> list[int]:
    return of_text(tokenizer, given) if isinstance(given, str) else of_ids(tokenizer, given)


async def tokens(of: Callable[[Any, Any], list[int]], tokenizer: Any, given: Any) -> list[int]:
    """In a thread where it takes long: a flood of text must not stop the others."""
    if len(str(given)) < _LONG:
        return of(tokenizer, given)
    return await asyncio.to_thread(of, tokenizer, given)
