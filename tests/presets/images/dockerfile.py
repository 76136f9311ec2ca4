"""Reads Dockerfiles: instructions by stage, comments and continuation lines resolved."""

import re
from pathlib import Path

PRESETS = Path(__file__).parents[3] / "presets"


def stages(image):
    """Of each `FROM`, in order: its instructions as (name, arguments), the `FROM` itself first."""
    text = (PRESETS / image / "Dockerfile").read_text()
    joined = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    found = []
    for line in filter(None, (each.strip() for each in joined.splitlines())):
        name, arguments = line.split(maxsplit=1)
        if name == "FROM":
            found.append([])
        if found:
            found[-1].append((name, " ".join(arguments.split())))
    return found


def given(stage, name):
    return [arguments for each, arguments in stage if each == name]


def copies(stage):
    """(source in the context, target in the image) of the packages."""
    pairs = (each.split() for each in given(stage, "COPY"))
    return [(PRESETS / source, target) for source, target in pairs if target.startswith("/app/")]


def environment(stage):
    return dict(pair.split("=", 1) for each in given(stage, "ENV") for pair in each.split())
