"""Which tenant a workspace belongs to, and what that tenant may do."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..model import globs, names
from ..model.names import WorkspaceId
from ..model.settings import Tenant
from ..model.world import DesiredWorkspace
from . import pod_security

_SHOWN = 5
"""Breaches of Pod Security that one refusal lists."""

Workspaces = Mapping[WorkspaceId, DesiredWorkspace]


def tenancy(workspaces: Workspaces, tenants: tuple[Tenant, ...]) -> Workspaces:
    """Fills in `refused`, `impersonate` and `drift`. Without a table there is one tenant that may do all,
    but for what Pod Security `restricted` forbids in a pod template: that is forbidden to every tenant.

    GPUs are counted in order of identity, so that the same declarations always refuse the same ones.
    """
    used: dict[str, int] = {}
    if not tenants:
        return {id: want if _is_plain(want) else _placed(want, (), used) for id, want in workspaces.items()}
    return {id: _placed(workspaces[id], tenants, used) for id in sorted(workspaces)}


def _is_plain(want: DesiredWorkspace) -> bool:
    """Whether there is nothing to look at: true of nearly all, and asked for each on every change."""
    return names.DRIFT not in want.workspace.metadata.annotations and _template(want) is None


def _placed(want: DesiredWorkspace, tenants: tuple[Tenant, ...], used: dict[str, int]) -> DesiredWorkspace:
    reported = want.workspace.metadata.annotations.get(names.DRIFT) == "report"
    chosen = replace(want, drift="report") if reported else want
    if not tenants:
        return replace(chosen, refused=refused) if (refused := _insecure(want)) else chosen
    tenant = next((t for t in tenants if _covers(t, want)), None)
    if tenant is None:
        return replace(chosen, refused=f"no tenant may declare {want.id} in {want.origin.path}")
    refused = _breach(tenant, want, used.get(tenant.name, 0))
    if not refused:
        used[tenant.name] = used.get(tenant.name, 0) + want.gpus
    drift = "report" if reported else tenant.drift
    return replace(chosen, refused=refused, impersonate=tenant.service_account or "", drift=drift)


def _covers(tenant: Tenant, want: DesiredWorkspace) -> bool:
    parts = globs.split(want.origin.path)
    in_path = any(globs.fits(globs.split(pattern), parts) for pattern in tenant.paths)
    return in_path and want.id.namespace in tenant.namespaces


def _breach(tenant: Tenant, want: DesiredWorkspace, used: int) -> str:
    allowed = tenant.instance_types
    kind = want.workspace.instance_type
    if allowed is not None and kind.lower() not in {a.lower() for a in allowed}:
        return f"tenant {tenant.name} may not use {kind}; allowed: {', '.join(allowed)}"
    if tenant.max_gpus is not None and used + want.gpus > tenant.max_gpus:
        return f"tenant {tenant.name} may use {tenant.max_gpus} GPUs; this would make {used + want.gpus}"
    if _template(want) is not None and not tenant.pod_templates:
        return f"tenant {tenant.name} may not bring a pod template (inference.template); name a preset"
    return _insecure(want)


def _template(want: DesiredWorkspace) -> dict[str, Any] | None:
    inference = want.workspace.inference
    return inference.template if inference is not None else None


def _insecure(want: DesiredWorkspace) -> str:
    """What its pod template does that nobody may."""
    template = _template(want)
    found = pod_security.breaches(template) if template is not None else ()
    if not found:
        return ""
    listed = "; ".join(f"inference.template.{breach}" for breach in found[:_SHOWN])
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"Pod Security restricted: {listed}{more}"
