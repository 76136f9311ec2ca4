"""The JSONPath that table columns use: fields, indexes, `[*]` and filters with one term."""

import re
from collections.abc import Iterator
from typing import Any

import orjson

_STEP = re.compile(
    r"""\.(?P<field>(?:[\w-]|\\.)+)"""
    r"""|\['(?P<quoted>[^']+)'\]"""
    r"""|\[(?P<index>-?\d+)\]"""
    r"""|(?P<all>\[\*\]|\.\*)"""
    r"""|\[\?\(@(?P<path>[.\w-]+)\s*==\s*(?P<value>"[^"]*"|'[^']*'|\w+)\)\]"""
)


def find(obj: Any, path: str) -> list[Any]:
    """Every value at `path`, with or without braces; none where the path is not understood."""
    values = [obj]
    text = path.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    position = 0
    while position < len(text):
        step = _STEP.match(text, position)
        if step is None:
            return []
        values = [found for value in values for found in _step(value, step)]
        position = step.end()
    return values


def _step(value: Any, step: re.Match[str]) -> Iterator[Any]:
    if name := step["field"] or step["quoted"]:
        name = name.replace("\\", "")
        if isinstance(value, dict) and name in value:
            yield value[name]
    elif step["index"]:
        index = int(step["index"])
        if isinstance(value, list) and -len(value) <= index < len(value):
            yield value[index]
    elif step["all"]:
        yield from value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    else:
        wanted = step["value"]
        literal = wanted[1:-1] if wanted[0] in "\"'" else orjson.loads(wanted)
        yield from (item for item in value or () if find(item, step["path"])[:1] == [literal])
