"""What each commit did of its own, back to one that is known."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pygit2
from pygit2.enums import SortMode

from .trees import FileChange, differences, subtree

MAX_COMMITS = 1000


@dataclass(frozen=True, slots=True)
class Signature:
    """`text` is armoured, `signed` what it is made over, `time` when the commit says it was made."""

    text: bytes
    signed: bytes
    time: float


@dataclass(frozen=True, slots=True)
class Step:
    """One commit. Of a merge, `changes` are only those that follow from neither side alone."""

    sha: str
    parents: tuple[str, ...]
    changes: tuple[FileChange, ...]
    signature: Signature | None


def steps(
    repo: pygit2.Repository, tips: Sequence[str], known: str | None, within: Sequence[str]
) -> tuple[Step, ...] | None:
    """Commits reachable from `tips` but not from `known`, children first, with what they changed in the
    folders `within`. Without `known`, or where it is not at hand, all back to the first.

    None where that cannot be told: history ends too early here, or there are more than `MAX_COMMITS`.
    """
    ends = _ends(repo)
    walker = repo.walk(None, SortMode.TOPOLOGICAL | SortMode.TIME)
    for tip in tips:
        walker.push(tip)
    if known is not None and known in repo:
        walker.hide(known)
    found: list[Step] = []
    for commit in walker:
        if str(commit.id) in ends or len(found) == MAX_COMMITS:
            return None
        changes = _own(repo, commit, within, bool(ends))
        if changes is None:
            return None
        parents = tuple(str(parent) for parent in commit.parent_ids)
        found.append(Step(str(commit.id), parents, changes, _signature(commit)))
    return tuple(found)


def _ends(repo: pygit2.Repository) -> frozenset[str]:
    """Commits whose parents were left out of a shallow copy."""
    if not repo.is_shallow:
        return frozenset()
    return frozenset((Path(repo.path) / "shallow").read_text().split())


def _own(
    repo: pygit2.Repository, commit: pygit2.Commit, within: Sequence[str], shallow: bool
) -> tuple[FileChange, ...] | None:
    """None where the sides of a merge have no common ancestor in a shallow copy: it may be further back."""
    parents = [repo[parent] for parent in commit.parent_ids] or [None]
    against = [_changed(repo, parent, commit, within) for parent in parents]
    if len(parents) != 2:
        return tuple({path: change for each in against for path, change in each.items()}.values())
    ancestor = repo.merge_base(parents[0].id, parents[1].id)
    if ancestor is None:
        return None if shallow else tuple((against[0] | against[1]).values())
    sides = [_changed(repo, repo[ancestor], parent, within) for parent in parents]
    return tuple(_decided(against, sides))


def _decided(
    against: list[dict[str, FileChange]], sides: list[dict[str, FileChange]]
) -> Iterator[FileChange]:
    """What a merge has otherwise than the side that changed it, or than both."""
    first, second = against
    for path in sorted(first.keys() | second.keys()):
        if path in first and (path in second or path in sides[0]):
            yield first[path]
        elif path not in first and path in sides[1]:
            yield second[path]


def _changed(
    repo: pygit2.Repository, old: pygit2.Commit | None, new: pygit2.Commit, within: Sequence[str]
) -> dict[str, FileChange]:
    before, after = old.tree if old is not None else None, new.tree
    return {
        change.path: change
        for folder in within
        for change in differences(repo, subtree(before, folder), subtree(after, folder), folder)
    }


def _signature(commit: pygit2.Commit) -> Signature | None:
    text, signed = commit.gpg_signature
    return Signature(text, signed, float(commit.commit_time)) if text else None
