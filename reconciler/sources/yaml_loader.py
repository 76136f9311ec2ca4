"""Bounded, safe YAML: from bytes to plain data that JSON can hold, or the reasons why not.

It reads libyaml's events and builds nothing that a limit forbids. Scalars follow the YAML 1.2 core
schema, so dates, `on`, `NO` and `22:30` stay strings. Anchors, aliases, merge keys and foreign tags
are refused, and so is a key given twice. Keys are their text, as JSON has no others.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

from yaml import CSafeLoader, YAMLError
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from ..model.finding import Path

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_DOCUMENTS = 500
MAX_NODES = 100_000

Event = Any
"""A libyaml event. The stubs do not know that the C parser always sets marks and anchors."""

_CORE = "tag:yaml.org,2002:"
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NUMBER_START = frozenset("+-.0123456789")
_INT = re.compile(r"[-+]?[0-9]+")
_RADIX = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_TYPES: dict[str, type | tuple[type, ...]] = {
    "int": int,
    "float": (int, float),
    "bool": bool,
    "null": type(None),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """Why some YAML is not taken; `line` counts from 1."""

    line: int
    rule: str
    remedy: str


@dataclass(slots=True)
class Document:
    """One document. With faults, `value` has None in the faulty places."""

    value: Any
    line: int
    faults: list[Fault] = field(default_factory=list)
    nulls: bool = True
    """Whether any value in it is null."""


@dataclass(slots=True)
class Stream:
    """A file's documents; `fault` is what ended the reading before the end of the file."""

    documents: list[Document] = field(default_factory=list)
    fault: Fault | None = None


class _Stop(Exception):
    """Reading cannot go on."""

    def __init__(self, line: int, rule: str, remedy: str) -> None:
        super().__init__(rule)
        self.fault = Fault(line, rule, remedy)


def load(content: bytes) -> Stream:
    """Reads every document, whatever the bytes; never raises."""
    stream = Stream()
    try:
        _Reader(_text(content)).read_into(stream)
    except _Stop as stop:
        stream.fault = stop.fault
    return stream


def lines(content: bytes, documents: int) -> list[dict[Path, int]]:
    """The line of each field, for the first documents of a file: as many as `load` could read."""
    found: list[dict[Path, int]] = []
    loader = CSafeLoader(_text(content))
    following: Callable[[], Event] = loader.get_event
    try:
        while len(found) < documents:
            if type(following()) is DocumentStartEvent:
                found.append({})
                _mark(following, following(), (), found[-1])
    finally:
        loader.dispose()
    return found


def _mark(following: Callable[[], Event], event: Event, path: Path, found: dict[Path, int]) -> None:
    found.setdefault(path, event.start_mark.line + 1)
    if isinstance(event, MappingStartEvent):
        while not isinstance(key := following(), MappingEndEvent):
            name = key.value if isinstance(key, ScalarEvent) else ""
            if not isinstance(key, ScalarEvent):
                _mark(following, key, (*path, name), {})
            found.setdefault((*path, name), key.start_mark.line + 1)
            _mark(following, following(), (*path, name), found)
    elif isinstance(event, SequenceStartEvent):
        index = 0
        while not isinstance(item := following(), SequenceEndEvent):
            _mark(following, item, (*path, index), found)
            index += 1


def _text(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise _Stop(1, f"the file is larger than {MAX_BYTES >> 20} MiB", "split it into smaller files")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _Stop(line, "the file is not UTF-8", "save it as UTF-8") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise _Stop(line, "the file holds a NUL character", "save it as plain UTF-8 text")
    return text


class _Reader:
    """Builds plain data from libyaml's events."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._loader = CSafeLoader(text)
        self._next: Callable[[], Event] = self._loader.get_event
        self._nodes = 0
        self._faults: list[Fault] = []
        self._nulls = False

    def read_into(self, stream: Stream) -> None:
        try:
            for document in self._documents():
                stream.documents.append(document)
        except YAMLError as error:
            self._refuse_syntax(error)
        finally:
            self._loader.dispose()

    def _documents(self) -> Iterator[Document]:
        count = 0
        while type(event := self._next()) is not StreamEndEvent:
            if type(event) is not DocumentStartEvent:
                continue
            count += 1
            if count > MAX_DOCUMENTS:
                _stop(event, f"more than {MAX_DOCUMENTS} documents", "split the file into smaller ones")
            self._faults, self._nulls = [], False
            root = self._next()
            value = self._value(root, 0)
            self._end_document()
            yield Document(value, root.start_mark.line + 1, self._faults, self._nulls)

    def _end_document(self) -> None:
        while type(self._next()) is not DocumentEndEvent:
            pass

    def _value(self, event: Event, depth: int) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            _stop(event, f"more than {MAX_NODES} values", "split the file into smaller ones")
        kind = type(event)
        if kind is AliasEvent:
            return self._fault(event, "YAML aliases are not allowed", "write the value out in each place")
        if event.anchor is not None:
            self._fault(event, "YAML anchors are not allowed", "write the value out in each place")
        if kind is ScalarEvent:
            return self._scalar(event)
        if depth >= MAX_DEPTH:
            _stop(event, f"nested deeper than {MAX_DEPTH} levels", "flatten it")
        if kind is MappingStartEvent:
            return self._mapping(event, depth + 1)
        return self._sequence(event, depth + 1)

    def _mapping(self, event: Event, depth: int) -> dict[str, Any]:
        self._check_collection_tag(event, "map")
        found: dict[str, Any] = {}
        while type(key := self._next()) is not MappingEndEvent:
            name = self._key(key, found, depth)
            found[name] = self._value(self._next(), depth)
        return found

    def _key(self, key: Event, found: dict[str, Any], depth: int) -> str:
        if type(key) is not ScalarEvent:
            self._value(key, depth)
            self._fault(key, "a key must be a plain word", "use a string as the key")
            return ""
        self._nodes += 1
        name: str = key.value
        if name in found:
            self._fault(key, f"the key {name[:80]!r} is given twice", "keep one of them")
        if name == "<<" and key.implicit[0]:
            self._fault(key, "YAML merge keys are not allowed", "write the fields out")
        if key.anchor is not None or key.tag is not None:
            self._fault(key, "a key must have neither anchor nor tag", "write the key as a plain word")
        return name

    def _sequence(self, event: Event, depth: int) -> list[Any]:
        self._check_collection_tag(event, "seq")
        found = []
        while type(item := self._next()) is not SequenceEndEvent:
            found.append(self._value(item, depth))
        return found

    def _check_collection_tag(self, event: Event, core: str) -> None:
        if event.tag is not None and event.tag != _CORE + core:
            self._refuse_tag(event)

    def _scalar(self, event: Event) -> Any:
        text: str = event.value
        if event.tag is not None:
            return self._tagged(event, text)
        if not event.implicit[0]:
            if "\0" in text:
                return self._fault(event, "a text must not hold a NUL character", "remove it")
            return text
        return self._plain(event, text)

    def _tagged(self, event: Event, text: str) -> Any:
        core = event.tag.removeprefix(_CORE)
        if core == "str":
            return text.replace("\0", "")
        if core not in _TYPES:
            return self._refuse_tag(event)
        value = self._plain(event, text)
        if not isinstance(value, _TYPES[core]):
            return self._fault(event, f"{text[:80]!r} is no {core}", "remove the tag or mend the value")
        return value

    def _plain(self, event: Event, text: str) -> Any:
        if text in _NULL:
            self._nulls = True
            return None
        if text in _BOOL:
            return _BOOL[text]
        if text[0] not in _NUMBER_START:
            return text
        return self._number(event, text)

    def _number(self, event: Event, text: str) -> Any:
        if _INT.fullmatch(text):
            return self._integer(event, text, 10)
        if _RADIX.fullmatch(text):
            return self._integer(event, text, 0)
        if _FLOAT.fullmatch(text) and abs(number := float(text)) != float("inf"):
            return number
        if _FLOAT.fullmatch(text) or _NOT_FINITE.fullmatch(text):
            return self._fault(event, f"{text[:80]!r} is no finite number", "use a number or quote it")
        return text

    def _integer(self, event: Event, text: str, base: int) -> int | None:
        number = int(text, base) if len(text) <= 64 else 1 << 64
        if -(1 << 63) <= number < 1 << 63:
            return number
        self._fault(event, f"the number {text[:80]} does not fit into 64 bits", "quote it")
        return None

    def _refuse_tag(self, event: Event) -> None:
        self._fault(event, f"the YAML tag {event.tag[:80]!r} is not allowed", "remove the tag")

    def _fault(self, event: Event, rule: str, remedy: str) -> None:
        if len(self._faults) < 100:
            self._faults.append(Fault(event.start_mark.line + 1, rule, remedy))

    def _refuse_syntax(self, error: YAMLError) -> NoReturn:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        said = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
        position = getattr(error, "position", 0) or 0
        line = mark.line if mark else self._text.count("\n", 0, position)
        last = self._text.rstrip().count("\n")
        rule = f"the file is not valid YAML: {str(said)[:200]}"
        raise _Stop(min(line, last) + 1, rule, "check indentation, quotes and colons near this line")


def _stop(event: Event, rule: str, remedy: str) -> NoReturn:
    raise _Stop(event.start_mark.line + 1, rule, remedy)
