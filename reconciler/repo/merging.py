"""What a merge would change, without making it: nothing is checked out and no tree is written."""

from collections.abc import Sequence
from dataclasses import dataclass

import pygit2

from .trees import FileChange, differences, subtree


@dataclass(frozen=True, slots=True)
class Merge:
    """Files that differ between the base and the result, by path; or why there is no result."""

    changes: tuple[FileChange, ...] = ()
    why: str = ""


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
    if any(ours[path].new_blob != theirs[path].new_blob for path in both) or _nested(ours, theirs):
        return _by_lines(repo, trees, folders)
    taken = (theirs[path] for path in sorted(theirs.keys() - both))
    return Merge(tuple(change for change in taken if _within(change.path, folders)))


def _nested(ours: dict[str, FileChange], theirs: dict[str, FileChange]) -> bool:
    """Whether one side put a file where the other put a folder."""
    return any(
        _parents(path) & other.keys() for side, other in ((ours, theirs), (theirs, ours)) for path in side
    )


def _parents(path: str) -> set[str]:
    return {path[:end] for end, letter in enumerate(path) if letter == "/"}


def _by_lines(repo: pygit2.Repository, trees: Sequence[pygit2.Tree], folders: Sequence[str]) -> Merge:
    index = repo.merge_trees(*trees)
    if index.conflicts is not None:
        paths = sorted({entry.path for three in index.conflicts for entry in three if entry is not None})
        more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
        return Merge(why=f"it conflicts in {', '.join(paths[:3])}{more}")
    result = repo[index.write_tree(repo)]
    found = [
        change
        for folder in folders
        for change in differences(repo, subtree(trees[1], folder), subtree(result, folder), folder)
    ]
    return Merge(tuple(sorted(found, key=lambda change: change.path)))


def _within(path: str, folders: Sequence[str]) -> bool:
    return any(not folder or path.startswith(f"{folder}/") for folder in folders)
