"""What the files of one commit declare, before catalogues are consulted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .finding import Path
from .names import WorkspaceId
from .workspace import Problem, Workspace


@dataclass(frozen=True, slots=True)
class Declaration:
    """One Workspace document; `line` is its first line, counted from 1."""

    id: WorkspaceId
    workspace: Workspace
    line: int


@dataclass(frozen=True, slots=True)
class Configuration:
    """A runtime's configuration inside a ConfigMap, read. `lines` are those of the ConfigMap's file."""

    value: Any
    lines: Mapping[Path, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeclaredConfig:
    """One ConfigMap document. `read` has what the runtimes' keys of `data` say."""

    namespace: str
    name: str
    data: Mapping[str, str]
    line: int
    read: Mapping[str, Configuration] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """One file's documents. With problems, the whole file is quarantined, though `identities` still count."""

    path: str
    blob: str
    declarations: tuple[Declaration, ...] = ()
    configs: tuple[DeclaredConfig, ...] = ()
    problems: tuple[Problem, ...] = ()
    identities: frozenset[WorkspaceId] = frozenset()
    """Workspaces this file is about, invalid ones too; empty where it does not parse at all."""
    ignored: Mapping[str, int] = field(default_factory=dict)
    """Documents of other kinds, counted by kind."""


@dataclass(frozen=True, slots=True)
class Declarations:
    """A whole tree. `remembered` has, for each path that is broken now, what it last declared."""

    revision: str
    files: Mapping[str, ParsedFile]
    commits: Mapping[str, str] = field(default_factory=dict)
    """By path: the commit in which we saw it change, where that is known."""
    remembered: Mapping[str, frozenset[WorkspaceId]] = field(default_factory=dict)
