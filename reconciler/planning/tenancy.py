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


def placed(want: DesiredWorkspace, tenants: tuple[Tenant, ...]) -> DesiredWorkspace:
    """Fills in what follows from the workspace alone: `tenant`, `refused`, `impersonate` and `drift`.

    Without a table there is one tenant that may do all, but for what Pod Security `restricted` forbids in a
    pod template: that is forbidden to every tenant.
    """
    reported = want.workspace.metadata.annotations.get(names.DRIFT) == "report"
    chosen = replace(want, drift="report") if reported else want
    if not tenants:
        return replace(chosen, refused=refused) if (refused := _insecure(want)) else chosen
    tenant = next((t for t in tenants if _covers(t, want)), None)
    if tenant is None:
        return replace(chosen, refused=f"no tenant may declare {want.id} in {want.origin.path}")
    return replace(
        chosen,
        tenant=tenant.name,
        refused=_breach(tenant, want),
        impersonate=tenant.service_account or "",
        drift="report" if reported else tenant.drift,
    )


def counted(workspaces: Workspaces, tenants: tuple[Tenant, ...]) -> Workspaces:
    """Refuses those by which a tenant would have more GPUs than it may.

    Counted in order of identity, so that the same declarations always refuse the same ones.
    """
    most = {tenant.name: tenant.max_gpus for tenant in tenants if tenant.max_gpus is not None}
    used, over = dict.fromkeys(most, 0), dict[WorkspaceId, DesiredWorkspace]()
    for id in sorted(workspaces) if most else ():
        want = workspaces[id]
        if want.refused or want.tenant not in most:
            continue
        total, limit = used[want.tenant] + want.gpus, most[want.tenant]
        if total > limit:
            rule = f"tenant {want.tenant} may use {limit} GPUs; this would make {total}"
            over[id] = replace(want, refused=rule)
        else:
            used[want.tenant] = total
    return {**workspaces, **over} if over else workspaces


def _covers(tenant: Tenant, want: DesiredWorkspace) -> bool:
    parts = globs.split(want.origin.path)
    in_path = any(globs.fits(globs.split(pattern), parts) for pattern in tenant.paths)
    return in_path and want.id.namespace in tenant.namespaces


def _breach(tenant: Tenant, want: DesiredWorkspace) -> str:
    allowed = tenant.instance_types
    kind = want.workspace.instance_type
    if allowed is not None and kind.lower() not in {a.lower() for a in allowed}:
        return f"tenant {tenant.name} may not use {kind}; allowed: {', '.join(allowed)}"
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
