"""Fields that somebody else keeps changing back: which breakers stand open, and how people close them.

A breaker opens when a field was put back so often that doing it again would be a fight. It closes when
the field is as declared again, when Git declares its object otherwise, or when somebody acknowledges it.
"""

from collections.abc import Mapping
from dataclasses import replace

from ..model.names import ObjectKey, WorkspaceId
from ..model.plan import Group, Plan
from ..model.policy import Policy
from ..model.world import Correction, Desired, DesiredWorkspace, Observed, ObservedWorkspace
from . import drift

CONTESTED = "Contested"
"""Reason of the hold."""
_MEMBER = "correct "

Breakers = Mapping[ObjectKey, tuple[Correction, ...]]


def standing(want: DesiredWorkspace | None, seen: ObservedWorkspace, after: int) -> Breakers:
    """Breakers of this workspace that are open now; `after` is how often a field may be put back."""
    if want is None:
        return {}
    declared = {o.key: o for o in (want.mirror, *want.objects)}
    found: dict[ObjectKey, tuple[Correction, ...]] = {}
    for key, corrections in seen.corrections.items():
        wanted = declared.get(key)
        live = seen.mirror if key.kind == "Workspace" else seen.objects.get(key)
        if wanted is None:
            continue
        # An object that is not seen may only be unread: its breakers stay as they are.
        differ = {c.field for c in drift.changes(wanted, live)} if live is not None else None
        open_ = tuple(
            c
            for c in corrections
            if c.count >= after and c.spec == wanted.spec and (differ is None or c.field in differ)
        )
        if open_:
            found[key] = open_
    return found


def group_of(id: WorkspaceId) -> Group:
    return Group(CONTESTED, "somebody keeps changing what is put back", frozenset({f"{_MEMBER}{id}"}))


def acknowledged(member: str) -> WorkspaceId | None:
    """The workspace whose breakers an acknowledged member closes; None where it is about something else."""
    return WorkspaceId.parse(member.removeprefix(_MEMBER)) if member.startswith(_MEMBER) else None


def contested(plan: Plan, desired: Desired, observed: Observed, policy: Policy) -> Plan:
    """A guard: all contests of one workspace are acknowledged together."""
    groups = {h.workspace: group_of(h.workspace) for h in plan.holds if h.reason == CONTESTED}
    if not groups:
        return plan
    holds = tuple(
        replace(h, group=fp, why=f"{h.why}; acknowledge {fp} to have it put back again")
        if h.reason == CONTESTED and (fp := groups[h.workspace].fingerprint)
        else h
        for h in plan.holds
    )
    return replace(plan, holds=holds, groups=(*plan.groups, *groups.values()))
