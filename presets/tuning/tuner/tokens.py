"""Examples as token ids with labels: only what is to be learnt has any."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from .shapes import Chat, Completion, Example, Message, bad

IGNORED = -100
"""The label that torch's cross entropy leaves out."""
Tokens = dict[str, list[int]]
_PLAIN = "### {role}:\n{content}\n\n"


class Encoder:
    """`limit` is in tokens; what is longer loses its end."""

    def __init__(self, tokenizer: Any, limit: int) -> None:
        self._tokenizer, self._limit = tokenizer, limit
        self.shortened = self.dropped = 0

    def encode(self, examples: Iterable[Example]) -> list[Tokens]:
        """Raises RuntimeFailure(BadData) where nothing to learn is left of any."""
        made = [each for found in examples if (each := self._encoded(found)) is not None]
        if not made:
            told = f"no answer begins within the first {self._limit} tokens of its row"
            raise bad(told, "shorten the prompts, or choose a model with a longer context")
        return made

    def _encoded(self, found: Example) -> Tokens | None:
        ids, labels = self._chat(found) if isinstance(found, Chat) else self._completion(found)
        if len(ids) > self._limit:
            self.shortened += 1
            ids, labels = ids[: self._limit], labels[: self._limit]
        if all(label == IGNORED for label in labels):
            self.dropped += 1
            return None
        return {"input_ids": ids, "labels": labels}

    def _completion(self, found: Completion) -> tuple[list[int], list[int]]:
        prompt = self._ids(found.prompt) if found.prompt else []
        answer = [*self._ids(found.completion), self._tokenizer.eos_token_id]
        return [*prompt, *answer], [*[IGNORED] * len(prompt), *answer]

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _chat(self, found: Chat) -> tuple[list[int], list[int]]:
        """Each answer of the assistant is what a turn adds to the prompt for it."""
        messages = list(found.messages)
        ids = self._rendered(messages, prompt=False)
        labels = [IGNORED] * len(ids)
        for number, message in enumerate(messages):
            if message["role"] == "assistant":
                before = self._rendered(messages[:number], prompt=True)
                after = self._rendered(messages[: number + 1], prompt=False)
                if ids[: len(after)] == after and after[: len(before)] == before:
                    labels[len(before) : len(after)] = after[len(before) :]
        return ids, labels

    def _rendered(self, messages: list[Message], prompt: bool) -> list[int]:
        if self._tokenizer.chat_template:
            text: str = self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=prompt
            )
            return self._ids(text)
        text = "".join(_PLAIN.format(**message) for message in messages)
        if prompt:
            return self._ids(text + _PLAIN.partition("{content}")[0].format(role="assistant"))
        return [*self._ids(text.rstrip()), self._tokenizer.eos_token_id]


@dataclass
class Collator:
    """Pads a batch on the right. Counts the tokens that it was given."""

    pad: int
    multiple: int = 1
    tokens: int = 0

    def __call__(self, batch: list[Tokens]) -> dict[str, torch.Tensor]:
        longest = max(len(each["input_ids"]) for each in batch)
        width = -(-longest // self.multiple) * self.multiple
        self.tokens += sum(len(each["input_ids"]) for each in batch)
        return {
            "input_ids": self._padded(batch, "input_ids", self.pad, width),
            "labels": self._padded(batch, "labels", IGNORED, width),
            "attention_mask": torch.tensor(
                [[1] * len(e["input_ids"]) + [0] * (width - len(e["input_ids"])) for e in batch]
            ),
        }

    @staticmethod
    def _padded(batch: list[Tokens], key: str, fill: int, width: int) -> torch.Tensor:
        return torch.tensor([each[key] + [fill] * (width - len(each[key])) for each in batch])
