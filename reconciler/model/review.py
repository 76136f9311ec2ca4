"""Pull requests and what is told on them, in words that every forge shares."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

CheckState = Literal["pending", "success", "failure", "neutral"]


@dataclass(frozen=True, slots=True)
class Request:
    """A pull or merge request, as it stood when it was read."""

    number: int
    title: str
    head: str
    """Sha of the newest commit."""
    branch: str
    """Where the head lies, without `refs/heads/`."""
    origin: str
    """The repository of that branch, as the forge names it; empty where that repository is gone."""
    base: str
    """The branch it is to be merged into, without `refs/heads/`."""
    fetch_ref: str
    """Full ref in the base's repository that brings the head; of a fork's head Azure has only a merge."""
    author: str
    trusted: bool
    """The author belongs to the repository and the head lies in it, so that whoever pushed may push there."""
    fork: bool
    labels: frozenset[str]
    link: str


@dataclass(frozen=True, slots=True)
class Annotation:
    """A remark on a line of a file; lines count from 1."""

    path: str
    line: int
    message: str


@dataclass(frozen=True, slots=True)
class Check:
    """What is told of a commit under one context. `neutral` neither fails nor blocks."""

    context: str
    """Such as `reconciler/prod/plan`."""
    state: CheckState
    description: str
    link: str
    annotations: tuple[Annotation, ...] = ()


@dataclass(frozen=True, slots=True)
class Approval:
    """Somebody's yes to a request; one that is known to be older than the request's head is none."""

    who: str
    """The account's name; empty where it is gone or the forge does not tell."""
    how: Literal["label", "review"]
    label: str
    """Empty for reviews."""
    at: datetime
    """When it was given, by the forge's clock."""
    sha: str | None
    """The head it was given for; None where the forge does not tell what the head was at that time."""


Posted = Mapping[str, Check]
"""Checks by context."""
