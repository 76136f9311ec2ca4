"""Git trees: what differs between two, and new ones from old ones; nothing is ever checked out."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pygit2
from pygit2.enums import FileMode, ObjectType

Kind = Literal["file", "symlink", "submodule"]
_KINDS: dict[bytes, Kind] = {b"120000": "symlink", b"160000": "submodule"}
_FOLDERS = (b"40000", b"040000")

# Rows are compared as bytes and only those that differ are taken apart: in a folder of 50,000 that is
# five times as fast as an object for each.
_ROW = re.compile(rb"[0-7]+ [^\0]+\0.{20}", re.DOTALL)


class Row(NamedTuple):
    """An entry of a tree."""

    mode: bytes
    name: bytes
    id: bytes


@dataclass(frozen=True, slots=True)
class FileChange:
    """A path that differs; `old_blob` is None where it is new, `new_blob` where it is gone."""

    path: str
    old_blob: str | None
    new_blob: str | None
    kind: Kind = "file"
    """Of the new entry, or of the old where it is gone; only a `file` may be read."""


def differences(
    repo: pygit2.Repository, old: pygit2.Tree | None, new: pygit2.Tree | None, folder: str = ""
) -> Iterator[FileChange]:
    """Looks only into folders that differ. Keeps its own stack: a tree's depth is its author's choice."""
    pending = [(_id_of(old), _id_of(new), f"{folder}/" if folder else "")]
    while pending:
        before, after, prefix = pending.pop()
        if before == after:
            continue
        for name, was, now in _unequal(_rows(repo, before), _rows(repo, after)):
            path = prefix + name
            if _is_leaf(was) or _is_leaf(now):
                yield _file_change(path, was if _is_leaf(was) else None, now if _is_leaf(now) else None)
            pending.append((_folder_id(was), _folder_id(now), f"{path}/"))


def _id_of(tree: pygit2.Tree | None) -> bytes | None:
    """A tree with nothing in it is false, but is one."""
    return tree.id.raw if tree is not None else None


def subtree(tree: pygit2.Tree | None, folder: str) -> pygit2.Tree | None:
    """The tree at `folder` (empty: `tree` itself), or None."""
    for name in filter(None, folder.split("/")):
        if tree is None or name not in tree:
            return None
        tree = _as_tree(tree[name])
    return tree


def files(repo: pygit2.Repository, tree: pygit2.Tree, folder: str) -> dict[str, str]:
    """Blob by path of every file under `folder`."""
    found = differences(repo, None, subtree(tree, folder), folder)
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


def _rows(repo: pygit2.Repository, tree: bytes | None) -> set[bytes]:
    if tree is None:
        return set()
    kind, data = repo.odb.read(pygit2.Oid(raw=tree))
    if kind != ObjectType.TREE:
        raise ValueError(f"{tree.hex()} is not a tree")
    return set(_ROW.findall(data))


def _unequal(before: set[bytes], after: set[bytes]) -> Iterator[tuple[str, Row | None, Row | None]]:
    """A name that is not UTF-8 is shown with escapes, for paths end up in JSON."""
    was, now = _by_name(before - after), _by_name(after - before)
    for name in was.keys() | now.keys():
        yield name.decode(errors="backslashreplace"), was.get(name), now.get(name)


def _by_name(rows: set[bytes]) -> dict[bytes, Row]:
    parted = (row.partition(b" ") for row in rows)
    return {rest[:-21]: Row(mode, rest[:-21], rest[-20:]) for mode, _, rest in parted}


def _file_change(path: str, was: Row | None, now: Row | None) -> FileChange:
    entry = now or was
    assert entry is not None
    kind = _KINDS.get(entry.mode, "file")
    return FileChange(path, was.id.hex() if was else None, now.id.hex() if now else None, kind)


def _is_leaf(row: Row | None) -> bool:
    return row is not None and row.mode not in _FOLDERS


def _folder_id(row: Row | None) -> bytes | None:
    return row.id if row is not None and row.mode in _FOLDERS else None


def _as_tree(entry: pygit2.Object) -> pygit2.Tree | None:
    return entry if isinstance(entry, pygit2.Tree) else None
