"""What a tenant may declare, and what is refused with the rule it breaks."""

import pytest
from builders import (
    A100,
    EIGHT,
    V100,
    context,
    declared,
    everything,
    observed,
    policy,
    wanted,
    workspace_yaml,
    ws,
)

from reconciler.model.settings import Tenant
from reconciler.planning.resolve import resolve


def refused(tenant, *texts, path="team-a/{}.yaml"):
    """The rule each workspace breaks, by name."""
    files = {path.format(n): text for n, text in enumerate(texts)}
    found = resolve(declared(files), context(tenants=(tenant,)))
    assert not found.invalid
    return {id.name: w.refused for id, w in found.workspaces.items()}


def tenant(**changes):
    return Tenant(**{"name": "a", "paths": ("team-a/**",), "namespaces": ("ai",), **changes})


CHAT = workspace_yaml("chat")

RULES = {
    "all is well": (tenant(), CHAT, "team-a/x.yaml", ""),
    "a folder below": (tenant(), CHAT, "team-a/b/x.yaml", ""),
    "another path": (tenant(), CHAT, "team-b/x.yaml", "no tenant may declare ai/chat in team-b/x.yaml"),
    "another namespace": (
        tenant(),
        workspace_yaml("chat", namespace="kube-system"),
        "team-a/x.yaml",
        "no tenant may declare kube-system/chat in team-a/x.yaml",
    ),
    "an instance type that is allowed, in any case": (
        tenant(instance_types=(A100.lower(),)),
        CHAT,
        "team-a/x.yaml",
        "",
    ),
    "an instance type that is not": (
        tenant(instance_types=(V100,)),
        CHAT,
        "team-a/x.yaml",
        f"tenant a may not use {A100}; allowed: {V100}",
    ),
    "too many GPUs": (
        tenant(max_gpus=7),
        workspace_yaml("chat", instance_type=EIGHT),
        "team-a/x.yaml",
        "tenant a may use 7 GPUs; this would make 8",
    ),
    "just enough GPUs": (
        tenant(max_gpus=8),
        workspace_yaml("chat", instance_type=EIGHT),
        "team-a/x.yaml",
        "",
    ),
}


@pytest.mark.parametrize(("who", "text", "path", "rule"), RULES.values(), ids=RULES)
def test_tenants(who, text, path, rule):
    assert refused(who, text, path=path) == {"chat": rule}


def test_gpus_are_counted_over_all_workspaces_of_the_tenant():
    texts = [workspace_yaml(n, instance_type=EIGHT) for n in "cab"]
    assert [n for n, rule in refused(tenant(max_gpus=16), *texts).items() if rule] == ["c"]


def test_a_refused_workspace_uses_none_of_the_tenants_gpus():
    texts = [workspace_yaml("a", instance_type=EIGHT, count=9), workspace_yaml("b", instance_type=EIGHT)]
    assert [n for n, rule in refused(tenant(max_gpus=8), *texts).items() if rule] == ["a"]


def test_a_star_stays_within_one_folder():
    shallow = tenant(paths=("team-a/*.yaml",))
    assert refused(shallow, CHAT, path="team-a/x.yaml") == {"chat": ""}
    assert refused(shallow, CHAT, path="team-a/b/x.yaml")["chat"]


def test_two_stars_span_no_folder_too():
    assert refused(tenant(paths=("**/*.yaml",)), CHAT, path="x.yaml") == {"chat": ""}


def one(text, *tenants):
    return resolve(declared({"team-a/x.yaml": text}), context(tenants=tenants)).workspaces[ws("chat")]


def test_objects_of_a_tenant_are_written_as_its_service_account():
    assert one(CHAT, tenant(service_account="ai:deployer")).impersonate == "ai:deployer"
    assert one(CHAT).impersonate == ""


DRIFT = {
    "by default": (CHAT, (), "correct"),
    "as the tenant says": (CHAT, (tenant(drift="report"),), "report"),
    "as the workspace says": (workspace_yaml("chat", annotations={"drift": "report"}), (), "report"),
    "as the workspace says, in a tenant": (
        workspace_yaml("chat", annotations={"drift": "report"}),
        (tenant(),),
        "report",
    ),
}


@pytest.mark.parametrize(("text", "tenants", "expected"), DRIFT.values(), ids=DRIFT)
def test_drift_is_handled(text, tenants, expected):
    assert one(text, *tenants).drift == expected


def test_the_first_tenant_that_covers_it_counts():
    first, second = tenant(max_gpus=0), tenant(name="b")
    assert one(CHAT, first, second).refused.startswith("tenant a")


def test_a_refused_workspace_that_runs_is_not_deleted():
    from reconciler.planning.diff import make_plan

    found = resolve(declared({"team-b/x.yaml": CHAT}), context(tenants=(tenant(),)))
    plan = make_plan(found, observed(everything(wanted(CHAT))), policy())
    assert (plan.steps, [h.reason for h in plan.holds]) == ((), ["NotPermitted"])
