"""The blocking half: reads the ref, lays our files over it, commits, pushes. Called in a thread."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from ..errors import InvalidSpec
from ..model.names import WorkspaceId
from ..model.settings import StatusSettings
from ..model.status import WorkspaceStatus
from ..repo.errors import PushRejected
from ..repo.writer import Author, Branch
from . import documents
from .documents import (
    FOLDER,
    INDEX,
    SUMMARY,
    Line,
    decoded,
    document,
    encoded,
    line_of,
    meaning,
    path_of,
    with_times_of,
)
from .message import message
from .summary import summary

Result = Literal["written", "unchanged"]
SETTLED = 50
"""Settled revisions that index.json names."""


class ForeignStatusRef(InvalidSpec):
    """The ref belongs to another cluster, or to somebody else altogether; it is never written."""

    reason = "ForeignStatusRef"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the ref should say. `statuses` need not be all; with `prune` they are, and other files go.

    `riders` differ in what is no news. They travel with a commit, unless the ref says something else of
    them by now: then another writer knows better.
    """

    revision: str
    when: float
    statuses: Mapping[WorkspaceId, WorkspaceStatus]
    riders: Mapping[WorkspaceId, WorkspaceStatus] = field(default_factory=dict)
    gone: frozenset[WorkspaceId] = frozenset()
    settled: tuple[str, ...] = ()
    prune: bool = False


@dataclass(slots=True)
class _Tip:
    """What the ref holds: its workspace files, and what they say."""

    sha: str | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)
    settled: tuple[str, ...] = ()
    since: float = 0.0
    """When its history begins; 0 where that is not known."""


class RefWriter:
    """Remembers what the ref holds as long as it alone moves it."""

    def __init__(self, branch: Branch, cluster: tuple[str, str], settings: StatusSettings) -> None:
        self._branch = branch
        self._cluster = cluster
        self._author = Author(settings.author_name, settings.author_email, settings.signing_key_file)
        self._tip: _Tip | None = None
        self._history = (settings.history_days or float("inf")) * 86400

    def write(self, wanted: Wanted) -> Result:
        """Raises LeaseLost, PushRejected, ForeignStatusRef and what `Branch` raises."""
        tip = self._tip or self._read()
        self._tip = None  # not known while a push is under way, nor after one that failed
        changes, news = _changes(tip, wanted)
        settled = _joined(wanted.settled, tip.settled)
        if not news and settled == tip.settled:
            self._tip = tip
            return "unchanged"
        self._tip = self._pushed(tip, _overlaid(tip, changes, settled), wanted, news)
        return "written"

    def _pushed(self, tip: _Tip, after: _Tip, wanted: Wanted, news: int) -> _Tip:
        files: dict[str, bytes | None] = {
            path: after.files.get(path)
            for path in tip.files.keys() | after.files.keys()
            if after.files.get(path) is not tip.files.get(path)
        }
        name = self._cluster[0]
        begins_anew = tip.sha is None or not tip.since or wanted.when - tip.since > self._history
        after.since = wanted.when if begins_anew else tip.since
        found = documents.index(self._cluster, after.settled, after.lines, after.since)
        files[INDEX] = encoded(found)
        files[SUMMARY] = summary(name, found["revision"], after.lines).encode()
        text = message(name, wanted.revision, tip.lines, after.lines, news)
        after.sha = self._committed(tip, files, text, wanted.when, anew=begins_anew and bool(tip.since))
        return after

    def _committed(
        self, tip: _Tip, files: dict[str, bytes | None], text: str, when: float, *, anew: bool
    ) -> str:
        """With a root in place of older history, unless the server will not have history cut."""
        parents = [None, tip.sha] if anew else [tip.sha]
        for parent in parents:
            sha = self._branch.commit(parent, tip.sha, files, text, self._author, when)
            try:
                if sha != tip.sha:
                    self._branch.push(sha, tip.sha)
            except PushRejected:
                if parent == parents[-1]:
                    raise
                continue
            return sha
        raise AssertionError("unreachable: the last parent returns or raises")

    def _read(self) -> _Tip:
        sha = self._branch.fetch()
        if sha is None:
            return _Tip()
        found = self._checked_index(sha)
        settled = found.get("settled")
        files = self._branch.contents(sha, FOLDER)
        lines = {
            f"{each.get('namespace')}/{each.get('name')}": line_of(each)
            for content in files.values()
            if (each := decoded(content)) is not None
        }
        through = tuple(map(str, settled)) if isinstance(settled, list) else ()
        return _Tip(sha, files, lines, through, _seconds(found.get("since")))

    def _checked_index(self, sha: str) -> documents.Document:
        """Empty where there is none yet. Raises ForeignStatusRef where the ref is not ours."""
        found = decoded(self._branch.read(sha, INDEX))
        if found is None:
            if not self._branch.list(sha):
                return {}
            raise ForeignStatusRef(
                f"{self._branch.ref} holds files but no {INDEX}: it was not made by a reconciler. "
                "Set status.ref to a ref of its own"
            )
        if found.get("clusterId") != self._cluster[1]:
            raise ForeignStatusRef(
                f"{self._branch.ref} belongs to the cluster {found.get('cluster')} with the id "
                f"{found.get('clusterId')}, not to this one ({self._cluster[1]}). Give each cluster a name "
                "or a status.ref of its own; delete the ref where that cluster was rebuilt"
            )
        return found


def _seconds(stamp: object) -> float:
    """0 for what is no time; then history begins to be counted now, and is not cut."""
    try:
        return datetime.fromisoformat(str(stamp)).timestamp()
    except ValueError:
        return 0.0


_Changes = dict[str, tuple[str, bytes | None, Line | None]]
"""By path: the workspace, its new file and line, or None for both."""


def _changes(tip: _Tip, wanted: Wanted) -> tuple[_Changes, int]:
    """Files that differ, and how many of them mean something else than before."""
    changes: _Changes = {}
    news = 0
    for id, status in {**wanted.riders, **wanted.statuses}.items():
        path = path_of(id)
        old = decoded(tip.files.get(path)) or {}
        new = with_times_of(old, document(status))
        differs = meaning(new) != meaning(old)
        if new != old and (id in wanted.statuses or not differs):
            changes[path] = (str(id), encoded(new), line_of(new))
            news += differs
    for path in _removed(tip, wanted):
        found = decoded(tip.files[path]) or {}
        changes[path] = (f"{found.get('namespace')}/{found.get('name')}", None, None)
        news += 1
    return changes, news


def _removed(tip: _Tip, wanted: Wanted) -> set[str]:
    if wanted.prune:
        return tip.files.keys() - set(map(path_of, wanted.statuses))
    return tip.files.keys() & set(map(path_of, wanted.gone - wanted.statuses.keys()))


def _overlaid(tip: _Tip, changes: _Changes, settled: tuple[str, ...]) -> _Tip:
    files, lines = dict(tip.files), dict(tip.lines)
    for path, (id, content, line) in changes.items():
        if content is None or line is None:
            files.pop(path, None)
            lines.pop(id, None)
        else:
            files[path], lines[id] = content, line
    return _Tip(None, files, lines, settled, tip.since)


def _joined(newer: tuple[str, ...], older: tuple[str, ...]) -> tuple[str, ...]:
    return (*newer, *(name for name in older if name not in newer))[:SETTLED]
