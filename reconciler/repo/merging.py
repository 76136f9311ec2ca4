"""What a merge would change, without making it: nothing is checked out and no tree is written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import pygit2

from .trees import FileChange, differences, subtree

MAX_BYTES = 8 << 20
"""Of a file that both sides changed: its lines are compared."""


@dataclass(frozen=True, slots=True)
class Merge:
    """Files that differ between the base and the result, by path; or why there is no result."""

    changes: tuple[FileChange, ...] = ()
    why: str = ""
    decided: frozenset[str] = frozenset()
    """Paths of those that neither side has so: lines of both."""


def merge(
    repo: pygit2.Repository, ancestor: str, base: str, head: str, folders: Sequence[str] = ("",)
) -> Merge:
    """Only what lies under `folders` is told; a conflict elsewhere is one as well.

    Where the two sides touched different files, as nearly always, the head's are simply taken. Else libgit2
    merges lines and follows renames.
    """
    trees = [repo[commit].tree for commit in (ancestor, base, head)]
    ours, theirs = ({c.path: c for c in differences(repo, trees[0], side)} for side in trees[1:])
    both = theirs.keys() & ours.keys()
    differing = [path for path in sorted(both) if ours[path].new_blob != theirs[path].new_blob]
    if why := _too_large(repo, (side[path] for path in differing for side in (ours, theirs))):
        return Merge(why=why)
    if differing or _nested(ours, theirs):
        merged = _by_lines(repo, trees, folders)
        taken = {path: change.new_blob for path, change in theirs.items()}
        decided = (c.path for c in merged.changes if taken.get(c.path, c.old_blob) != c.new_blob)
        return replace(merged, decided=frozenset(decided))
    others = (theirs[path] for path in sorted(theirs.keys() - both))
    return Merge(tuple(change for change in others if _within(change.path, folders)))


def _too_large(repo: pygit2.Repository, changes: Iterable[FileChange]) -> str:
    for change in changes:
        if change.kind == "submodule" or change.new_blob is None:
            continue
        if repo.odb.read_header(change.new_blob)[1] > MAX_BYTES:
            return f"both sides changed {change.path}, which has more than {MAX_BYTES >> 20} MiB"
    return ""


def _nested(ours: dict[str, FileChange], theirs: dict[str, FileChange]) -> bool:
    """Whether one side put a file where the other put a folder."""
    return any(
        _parents(path) & other.keys() for side, other in ((ours, theirs), (theirs, ours)) for path in side
    )


def _parents(path: str) -> set[str]:
    return {path[:end] for end, letter in enumerate(path) if letter == "/"}


def _by_lines(repo: pygit2.Repository, trees: Sequence[pygit2.Tree], folders: Sequence[str]) -> Merge:
    try:
        index = repo.merge_trees(*trees)
    except (pygit2.GitError, ValueError) as error:  # trees that no Git would have written
        return Merge(why=f"Git cannot merge it: {error}")
    if index.conflicts is not None:
        entries = (entry for three in index.conflicts for entry in three if entry is not None)
        paths = sorted({_shown(entry.path) for entry in entries})
        more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
        return Merge(why=f"it conflicts in {', '.join(paths[:3])}{more}")
    result = repo[index.write_tree(repo)]
    found = [
        change
        for folder in folders
        for change in differences(repo, subtree(trees[1], folder), subtree(result, folder), folder)
    ]
    return Merge(tuple(sorted(found, key=lambda change: change.path)))


def _shown(path: str) -> str:
    """A name that is not UTF-8 with escapes, as `differences` has it."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _within(path: str, folders: Sequence[str]) -> bool:
    return any(not folder or path.startswith(f"{folder}/") for folder in folders)
