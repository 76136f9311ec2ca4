"""Rows of a data set as conversations or plain text, whichever of the usual shapes they have."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from artifacts import RuntimeFailure

from .configuration import DatasetSection

Row = Mapping[str, Any]
Message = dict[str, str]
_ROLES = ("system", "user", "assistant", "tool")
_ANSWERS = ("output", "response", "answer", "completion")
_CONTEXTS = ("input", "context")
SHAPES = (
    "a column messages (role and content), prompt and completion, instruction (with input or context) and "
    "output or response, or text"
)


@dataclass(frozen=True, slots=True)
class Chat:
    """Every answer of the assistant is learnt."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Completion:
    """Plain text; only `completion` is learnt."""

    prompt: str
    completion: str


Example = Chat | Completion


def example(row: Row, section: DatasetSection, where: str) -> Example:
    """Raises RuntimeFailure(BadData) naming `where` (file and row), the column, and what is needed."""
    columns = row.keys()
    if section.messages_column or "messages" in columns:
        column = section.messages_column or "messages"
        return _chat(_value(row, column, where), f"{where}, {column}")
    if section.context_column:
        return Completion(
            _text(row, section.context_column, where), _answer(row, section.response_column, where)
        )
    if {"prompt", "completion"} <= columns:
        return _pair(row, where)
    if "instruction" in columns:
        return _instruction(row, where)
    if section.response_column in columns:
        return Completion("", _answer(row, section.response_column, where))
    told = ", ".join(sorted(map(str, columns))) or "none"
    raise bad(f"{where}: the columns are {told}", f"give {SHAPES}, or name them in DatasetConfig")


def bad(message: str, remedy: str) -> RuntimeFailure:
    return RuntimeFailure("BadData", message, remedy)


def _chat(found: Any, where: str) -> Chat:
    if not isinstance(found, list) or not found:
        raise bad(f"{where}: a list of messages is needed", "give role and content of each")
    messages = tuple(_message(each, f"{where}[{number}]") for number, each in enumerate(found))
    if not any(message["role"] == "assistant" for message in messages):
        raise bad(f"{where}: no message is the assistant's", "add the answer that is to be learnt")
    return Chat(messages)


def _message(found: Any, where: str) -> Message:
    role = found.get("role") if isinstance(found, dict) else None
    content = found.get("content") if isinstance(found, dict) else None
    if role not in _ROLES:
        raise bad(f"{where}: the role is {role!r}", f"use one of {', '.join(_ROLES)}")
    if not isinstance(content, str):
        raise bad(f"{where}: the content is no text", "write content as text")
    return {"role": role, "content": content}


def _pair(row: Row, where: str) -> Example:
    """Texts, or lists of messages."""
    prompt, completion = row["prompt"], row["completion"]
    if isinstance(prompt, list) and isinstance(completion, list):
        return _chat([*prompt, *completion], where)
    return Completion(_text(row, "prompt", where), _answer(row, "completion", where))


def _instruction(row: Row, where: str) -> Chat:
    answer = next((name for name in _ANSWERS if name in row), "output")
    more = next((str(row[name]) for name in _CONTEXTS if row.get(name)), "")
    asked = "\n\n".join(filter(None, (_text(row, "instruction", where), more)))
    said = _answer(row, answer, where)
    return Chat(({"role": "user", "content": asked}, {"role": "assistant", "content": said}))


def _answer(row: Row, column: str, where: str) -> str:
    text = _text(row, column, where)
    if not text.strip():
        raise bad(f"{where}, {column}: it is empty", "there is nothing to learn from it: remove the row")
    return text


def _text(row: Row, column: str, where: str) -> str:
    found = _value(row, column, where)
    if not isinstance(found, str):
        raise bad(f"{where}, {column}: {type(found).__name__} is no text", "write it as text")
    return found


def _value(row: Row, column: str, where: str) -> Any:
    if column not in row:
        told = ", ".join(sorted(map(str, row)))
        raise bad(f"{where}: there is no column {column}", f"name one of: {told}")
    return row[column]
