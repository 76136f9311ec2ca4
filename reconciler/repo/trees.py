"""Git trees: what differs between two, and new ones from old ones; nothing is ever checked out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import pygit2
from pygit2.enums import FileMode

Kind = Literal["file", "symlink", "submodule"]
_KINDS: dict[int, Kind] = {FileMode.LINK: "symlink", FileMode.COMMIT: "submodule"}

Entries = dict[str, pygit2.Object]


@dataclass(frozen=True, slots=True)
class FileChange:
    """A path that differs; `old_blob` is None where it is new, `new_blob` where it is gone."""

    path: str
    old_blob: str | None
    new_blob: str | None
    kind: Kind = "file"
    """Of the new entry, or of the old where it is gone; only a `file` may be read."""


def differences(old: pygit2.Tree | None, new: pygit2.Tree | None, folder: str = "") -> Iterator[FileChange]:
    """Looks only into folders that differ. Keeps its own stack: a tree's depth is its author's choice."""
    pending = [(old, new, f"{folder}/" if folder else "")]
    while pending:
        before, after, prefix = pending.pop()
        if before is not None and after is not None and before.id == after.id:
            continue
        for name, was, now in _unequal(before, after):
            path = prefix + name
            if _is_leaf(was) or _is_leaf(now):
                yield _file_change(path, was if _is_leaf(was) else None, now if _is_leaf(now) else None)
            below = (_as_tree(was), _as_tree(now))
            if below != (None, None):
                pending.append((*below, f"{path}/"))


def subtree(tree: pygit2.Tree | None, folder: str) -> pygit2.Tree | None:
    """The tree at `folder` (empty: `tree` itself), or None."""
    for name in filter(None, folder.split("/")):
        if tree is None or name not in tree:
            return None
        tree = _as_tree(tree[name])
    return tree


def files(tree: pygit2.Tree | None, folder: str) -> dict[str, str]:
    """Blob by path of every file under `folder`."""
    found = differences(None, subtree(tree, folder), folder)
    return {change.path: change.new_blob for change in found if change.new_blob and change.kind == "file"}


def written(
    repo: pygit2.Repository, base: pygit2.Tree | None, changes: Mapping[str, bytes | None]
) -> pygit2.Oid | None:
    """The tree `base` with files put or (None) removed; None where nothing is left. Empty folders go."""
    builder = repo.TreeBuilder(base) if base is not None else repo.TreeBuilder()
    here, below = _by_folder(changes)
    for name, content in here.items():
        _place(builder, name, None if content is None else repo.create_blob(content), FileMode.BLOB)
    for name, inner in below.items():
        old = _as_tree(base[name]) if base is not None and name in base else None
        _place(builder, name, written(repo, old, inner), FileMode.TREE)
    return builder.write() if len(builder) else None


def _by_folder(
    changes: Mapping[str, bytes | None],
) -> tuple[dict[str, bytes | None], dict[str, dict[str, bytes | None]]]:
    here: dict[str, bytes | None] = {}
    below: dict[str, dict[str, bytes | None]] = {}
    for path, content in changes.items():
        name, slash, rest = path.partition("/")
        if slash:
            below.setdefault(name, {})[rest] = content
        else:
            here[name] = content
    return here, below


def _place(builder: pygit2.TreeBuilder, name: str, oid: pygit2.Oid | None, mode: FileMode) -> None:
    if oid is not None:
        builder.insert(name, oid, mode)
    elif builder.get(name) is not None:
        builder.remove(name)


def _unequal(
    old: pygit2.Tree | None, new: pygit2.Tree | None
) -> Iterator[tuple[str, pygit2.Object | None, pygit2.Object | None]]:
    before, after = _entries(old), _entries(new)
    for name, now in after.items():
        was = before.pop(name, None)
        if was is None or was.id != now.id or was.filemode != now.filemode:
            yield name, was, now
    for name, was in before.items():
        yield name, was, None


def _entries(tree: pygit2.Tree | None) -> Entries:
    """A name that is not UTF-8 is shown with escapes, for paths end up in JSON."""
    if tree is None:
        return {}
    return {entry.raw_name.decode(errors="backslashreplace"): entry for entry in tree}


def _file_change(path: str, was: pygit2.Object | None, now: pygit2.Object | None) -> FileChange:
    entry = now or was
    assert entry is not None
    kind = _KINDS.get(entry.filemode, "file")
    return FileChange(path, str(was.id) if was else None, str(now.id) if now else None, kind)


def _is_leaf(entry: pygit2.Object | None) -> bool:
    return entry is not None and entry.filemode != FileMode.TREE


def _as_tree(entry: pygit2.Object | None) -> pygit2.Tree | None:
    return entry if entry is not None and entry.filemode == FileMode.TREE else None
