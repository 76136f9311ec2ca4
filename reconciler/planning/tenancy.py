"""Which tenant a workspace belongs to, and what that tenant may do."""

from collections.abc import Mapping
from dataclasses import replace

from ..model import globs, names
from ..model.names import WorkspaceId
from ..model.settings import Tenant
from ..model.world import DesiredWorkspace

Workspaces = Mapping[WorkspaceId, DesiredWorkspace]


def tenancy(workspaces: Workspaces, tenants: tuple[Tenant, ...]) -> Workspaces:
    """Fills in `refused`, `impersonate` and `drift`. Without a table there is one tenant that may do all.

    GPUs are counted in order of identity, so that the same declarations always refuse the same ones.
    """
    used: dict[str, int] = {}
    return {id: _placed(workspaces[id], tenants, used) for id in sorted(workspaces)}


def _placed(want: DesiredWorkspace, tenants: tuple[Tenant, ...], used: dict[str, int]) -> DesiredWorkspace:
    reported = want.workspace.metadata.annotations.get(names.DRIFT) == "report"
    chosen = replace(want, drift="report") if reported else want
    if not tenants:
        return chosen
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
    return ""
