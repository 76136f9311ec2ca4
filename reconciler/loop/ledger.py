"""What must outlive a cycle, and the process: published holds, acknowledgements, deletions done, contests.

Kept in one ConfigMap, written only when it changes. Without a store (mode `observe`, tests) it is memory.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from ..model import names
from ..model.names import ObjectKey, WorkspaceId
from ..model.plan import DeleteObject, DeletePool, Group, Plan, Step
from ..model.policy import Deletion, Policy
from ..model.world import Correction, Footprint
from ..planning import contests
from ..planning.contests import Breakers

ACK_LASTS = 86400.0
"""Seconds for which an acknowledgement lets its group through."""

_TRAILER = re.compile(rf"^{names.ACK_TRAILER}:\s*([0-9a-f]{{12}})\s*$", re.MULTILINE)


class Store(Protocol):
    async def load(self) -> dict[str, Any]: ...

    async def save(self, changes: Mapping[str, Any | None]) -> None: ...


@dataclass(frozen=True, slots=True)
class Published:
    """A hold somebody can read. Only what is said after `since`, in commits after `revision`, counts."""

    members: tuple[str, ...]
    since: float
    revision: str
    reason: str = ""
    why: str = ""


class Ledger:
    def __init__(self, store: Store | None) -> None:
        self._store = store
        self.published: dict[str, Published] = {}
        self._released: dict[str, float] = {}
        self._recent: list[Deletion] = []
        self.breakers: dict[WorkspaceId, Breakers] = {}
        """Contests that stand open."""

    async def load(self) -> None:
        said = await self._store.load() if self._store is not None else {}
        holds: dict[str, Any] = said.get("holds") or {}
        self.published = {fp: Published(**{**h, "members": tuple(h["members"])}) for fp, h in holds.items()}
        self._released = dict(said.get("released") or {})
        self._recent = [
            Deletion(when, WorkspaceId.parse(id), gpus) for when, id, gpus in said.get("recent") or ()
        ]
        self.breakers = _read_breakers(said.get("breakers") or ())

    def policy(self, base: Policy, now: float) -> Policy:
        """`base` with what people released and what was deleted lately."""
        self._released = {member: until for member, until in self._released.items() if until > now}
        self._recent = [d for d in self._recent if now - d.when <= base.limits.window_seconds]
        return replace(base, released=frozenset(self._released), recent=tuple(self._recent))

    # --- holds and acknowledgements

    async def publish(self, plan: Plan, fleet: Mapping[WorkspaceId, Footprint], now: float) -> None:
        """Remembers when each held group was first published; forgets what is over."""
        held = {h.group for h in plan.holds if h.group}
        groups = {g.fingerprint: g for g in plan.groups if g.fingerprint in held}
        published = {fp: self.published.get(fp) or _first(group, plan, now) for fp, group in groups.items()}
        released = {m: until for m, until in self._released.items() if _pending(m, plan.groups, fleet)}
        if (published, released) != (self.published, self._released):
            self.published, self._released = published, released
            await self._save()

    async def acknowledge(self, fingerprint: str, at: float) -> frozenset[str]:
        """Lets a published group through; returns its members, none where it is not held (any more)."""
        group = self.published.get(fingerprint)
        if group is None or at < group.since:
            return frozenset()
        self._released |= dict.fromkeys(group.members, at + ACK_LASTS)
        for id in filter(None, map(contests.acknowledged, group.members)):
            self.breakers.pop(id, None)
        await self._save()
        return frozenset(group.members)

    def held_since(self) -> dict[str, str]:
        """By the fingerprint of each held group: the revision at which it was first published."""
        return {fingerprint: group.revision for fingerprint, group in self.published.items()}

    @property
    def oldest_revision(self) -> str | None:
        """Where to begin looking for acknowledging commits; None while nothing is held."""
        oldest = min(self.published.values(), key=lambda p: p.since, default=None)
        return oldest.revision if oldest is not None else None

    # --- contests

    async def contested(self, found: Mapping[WorkspaceId, Breakers]) -> None:
        """What stands open of these workspaces, nothing where nothing does; others stay as they are."""
        changed = {id: now for id, now in found.items() if self.breakers.get(id, {}) != now}
        if not changed:
            return
        merged = {**self.breakers, **changed}
        self.breakers = {id: now for id, now in merged.items() if now}
        await self._save()

    # --- deletions

    async def deleting(
        self, steps: Iterable[Step], fleet: Mapping[WorkspaceId, Footprint], now: float
    ) -> None:
        """Written before they are carried out, so that a crash cannot hide them from the guards."""
        known = {d.workspace for d in self._recent}
        new = {
            s.workspace
            for s in steps
            if s.cause == "prune"
            and isinstance(s.action, DeletePool | DeleteObject)
            and s.workspace not in known
        }
        gone = [id for id in sorted(new) if id in fleet]
        if gone:
            self._recent += [Deletion(now, id, fleet[id].gpus) for id in gone]
            await self._save()

    async def _save(self) -> None:
        if self._store is None:
            return
        holds = {fp: asdict(p) for fp, p in self.published.items()}
        recent = [[d.when, str(d.workspace), d.gpus] for d in self._recent]
        said = {"holds": holds, "released": self._released, "recent": recent}
        await self._store.save({**said, "breakers": _written_breakers(self.breakers)})


def _written_breakers(breakers: Mapping[WorkspaceId, Breakers]) -> list[dict[str, Any]]:
    return [
        {"workspace": str(id), "object": list(key), **asdict(correction)}
        for id, found in sorted(breakers.items())
        for key, corrections in sorted(found.items())
        for correction in corrections
    ]


def _read_breakers(said: Iterable[dict[str, Any]]) -> dict[WorkspaceId, Breakers]:
    found: dict[WorkspaceId, dict[ObjectKey, tuple[Correction, ...]]] = {}
    for line in said:
        id, key = WorkspaceId.parse(line["workspace"]), ObjectKey(*line["object"])
        correction = Correction(line["field"], line["manager"], line["spec"], line["count"])
        of_id = found.setdefault(id, {})
        of_id[key] = (*of_id.get(key, ()), correction)
    return dict(found)


def acknowledged(messages: Iterable[str]) -> list[str]:
    """Fingerprints named by `Reconciler-Ack` trailers."""
    return [found for message in messages for found in _TRAILER.findall(message)]


def _first(group: Group, plan: Plan, now: float) -> Published:
    return Published(tuple(sorted(group.members)), now, plan.revision, group.reason, group.why)


def _pending(member: str, groups: Iterable[Group], fleet: Mapping[WorkspaceId, Footprint]) -> bool:
    if any(member in g.members for g in groups):
        return True
    verb, _, id = member.partition(" ")
    line = fleet.get(WorkspaceId.parse(id))
    return verb == "render" and line is not None and not line.ready
