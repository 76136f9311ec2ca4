"""`reconciler validate`: what the daemon would say of these files, before they are pushed."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from .. import config, data
from ..errors import InvalidSpec
from ..model.declared import Declarations
from ..model.workspace import Problem
from ..model.world import Desired
from ..planning.resolve import resolve
from ..planning.verdict import Teller
from . import offline, specs
from .options import Arguments, Namespace, OptionalSettings, Verbose, settings_of
from .output import FAILED, counted, say, say_json
from .posting import Post, post
from .sarif import sarif

Style = Annotated[
    Literal["text", "json", "github", "sarif"],
    typer.Option("--output", "-o", help="`github` writes workflow annotations."),
]


def validate(
    paths: Arguments,
    settings_file: OptionalSettings = None,
    namespace: Namespace = None,
    output: Style = "text",
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail, too.")] = False,
    sha: Post = None,
    verbose: Verbose = False,
) -> None:
    """Check specs exactly as the daemon does: shape, rules, presets, machine sizes, references.

    With --config also what the settings say: the tenants' table, the engine, the catalogue.

    Exit status: 0 all is well (warnings are printed), 1 there are problems or a path cannot be read.
    """
    with _nothing_collected():
        settings = settings_of(settings_file)
        found, desired = _read(paths, namespace, settings)
    problems = sorted([*specs.problems_of(desired), *_refused(desired)], key=lambda p: (p.path, p.line))
    match output:
        case "sarif":
            say_json(sarif(data.version(), problems, warnings_of(desired)))
        case "json":
            say_json(_as_json(desired, problems))
        case "github":
            _say_annotations(desired, problems)
        case "text":
            _say_text(found, desired, problems)
    if sha is not None:
        check = Teller(settings.cluster if settings else "").validity(desired, problems, desired.workspaces)
        post(settings, sha, check)
    if problems or (strict and any(True for _ in warnings_of(desired))):
        raise typer.Exit(FAILED)


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Nothing that is made meanwhile is given up again, and looking for it takes time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _read(
    paths: list[Path], namespace: str | None, settings: config.Settings | None
) -> tuple[Declarations, Desired]:
    found = specs.declared(paths, namespace)
    if not found.files:
        raise InvalidSpec(f"{', '.join(map(str, paths))}: there is no .yaml or .yml file here")
    return found, resolve(found, offline.context(settings))


def _refused(desired: Desired) -> Iterator[Problem]:
    """What no tenant may declare."""
    for want in desired.workspaces.values():
        if want.refused:
            remedy = "ask whoever keeps the daemon's settings, or declare something else"
            yield Problem(want.origin.path, want.origin.line, "", "", want.refused, remedy)


def secrets_of(desired: Desired) -> list[str]:
    """Secrets as `namespace/name` that the cluster must have: nobody can look them up here."""
    found = {
        f"{id.namespace}/{name}" for id, want in desired.workspaces.items() for name in want.workspace.secrets
    }
    return sorted(found)


def warnings_of(desired: Desired) -> Iterator[tuple[str, int, str]]:
    """(path, line, what may surprise), by workspace."""
    for want in desired.workspaces.values():
        for warning in want.warnings:
            yield want.origin.path, want.origin.line, warning


def _say_text(found: Declarations, desired: Desired, problems: list[Problem]) -> None:
    for problem in problems:
        say(str(problem))
    for path, line, warning in warnings_of(desired):
        say(f"{path}:{line}: warning: {warning}")
    if secrets := secrets_of(desired):
        say(f"the cluster must have these Secrets: {', '.join(secrets)}")
    ignored = sum(sum(file.ignored.values()) for file in found.files.values())
    also = f", {counted(ignored, 'document')} of other kinds ignored" if ignored else ""
    files, valid = counted(len(found.files), "file"), counted(len(desired.workspaces), "valid workspace")
    say(f"{files}, {valid}{also}: {counted(len(problems), 'problem')}")


def _as_json(desired: Desired, problems: list[Problem]) -> dict[str, Any]:
    return {
        "valid": not problems,
        "workspaces": sorted(map(str, desired.workspaces)),
        "problems": problems,
        "secrets": secrets_of(desired),
        "warnings": [{"path": p, "line": line, "message": text} for p, line, text in warnings_of(desired)],
    }


def _say_annotations(desired: Desired, problems: list[Problem]) -> None:
    for problem in problems:
        said = f"{problem.rule}; {problem.remedy}"
        text = f"{problem.field or 'document'}{f' {problem.value!r}' if problem.value else ''}: {said}"
        say(_annotation("error", problem.path, problem.line, text))
    for path, line, warning in warnings_of(desired):
        say(_annotation("warning", path, line, warning))


def _annotation(level: str, path: str, line: int, text: str) -> str:
    """GitHub's workflow command; its own characters are escaped, so that no value can end it early."""
    where = f"file={_escaped(path, ':,')}" + (f",line={line}" if line else "")
    return f"::{level} {where}::{_escaped(text)}"


def _escaped(text: str, more: str = "") -> str:
    return "".join(f"%{ord(c):02X}" if c in "%\r\n" + more else c for c in text)
