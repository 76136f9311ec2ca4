"""Reasons not to touch a workspace at all."""

from dataclasses import replace

import pytest
from builders import (
    A100,
    NOW,
    URL,
    V100,
    desired,
    everything,
    mirror_of,
    observed,
    policy,
    pool_of,
    summary,
    tuning_yaml,
    wanted,
    workspace_yaml,
)

from reconciler.model import names
from reconciler.model.workspace import DEFAULT_INSTANCE_TYPE
from reconciler.model.world import ObservedWorkspace
from reconciler.planning.diff import make_plan

CHAT = workspace_yaml("chat", selector={"apps": "chat"})
WANT = wanted(CHAT)
TUNE = tuning_yaml("chat")
POD = {"spec": {"containers": [{"name": "server", "image": "registry.example.com/server:1"}]}}
UNTIL = {"past": "2026-01-01T00:00:00Z", "soon": "2027-01-15T12:00:00Z", "later": "2099-01-01T00:00:00Z"}


def plan(text, seen, settings=None, **world):
    return make_plan(desired(text), observed(seen, **world), settings or policy())


def with_input(name):
    return tuning_yaml("chat", input={"name": name, "urls": [URL]})


def with_option(option, text=CHAT):
    return text.replace("    name: phi", f"    presetOptions: {{{option}}}\n    name: phi")


TEMPLATED = workspace_yaml("chat", selector={"apps": "chat"}, template=POD).replace(
    "  preset:\n    name: phi-3-mini-4k-instruct\n", ""
)
IMMUTABLE = {
    "resource.instanceType": (
        CHAT,
        workspace_yaml("chat", selector={"apps": "chat"}, instance_type=V100),
        A100,
        V100,
    ),
    "resource.count": (CHAT, workspace_yaml("chat", selector={"apps": "chat"}, count=2), "1", "2"),
    "resource.labelSelector": (CHAT, workspace_yaml("chat", selector={"apps": "other"}), "chat", "other"),
    "inference.preset.name": (
        CHAT,
        workspace_yaml("chat", selector={"apps": "chat"}, preset="phi-3-mini-128k-instruct"),
        "phi-3-mini-4k-instruct",
        "phi-3-mini-128k-instruct",
    ),
    "tuning.preset.name": (
        TUNE,
        tuning_yaml("chat", preset="phi-3-mini-128k-instruct"),
        "phi-3-mini-4k-instruct",
        "phi-3-mini-128k-instruct",
    ),
    "inference.preset.accessMode": (
        CHAT,
        CHAT.replace(
            "    name: phi",
            "    accessMode: private\n    presetOptions: {image: registry.example.com/x:1}\n    name: phi",
        ),
        "public",
        "private",
    ),
    "inference.preset.presetOptions.image": (
        CHAT,
        with_option("image: registry.example.com/x:1"),
        "None",
        "x:1",
    ),
    "inference.preset.presetOptions.imagePullSecrets": (
        CHAT,
        with_option("imagePullSecrets: [a]"),
        "None",
        "'a'",
    ),
    "inference.preset.presetOptions.modelAccessSecret": (
        CHAT,
        with_option("modelAccessSecret: a"),
        "None",
        "'a'",
    ),
    "inference.template": (TEMPLATED, CHAT, "present", "absent"),
    "tuning.preset.presetOptions.image": (
        TUNE,
        with_option("image: registry.example.com/x:1", TUNE),
        "None",
        "x:1",
    ),
    "tuning.method": (TUNE, tuning_yaml("chat", method="lora"), "qlora", "lora"),
    "tuning.input.name": (with_input("a"), with_input("b"), "'a'", "'b'"),
}


@pytest.mark.parametrize("field", IMMUTABLE)
def test_an_immutable_field_is_held_with_both_values(field):
    before, after, was, now = IMMUTABLE[field]
    (hold,) = plan(after, everything(wanted(before))).holds
    assert hold.reason == "ImmutableField"
    assert field in hold.why
    assert was.lower() in hold.why.lower()
    assert now.lower() in hold.why.lower()
    assert names.ON_IMMUTABLE_CHANGE in hold.why


TUNED = TUNE.replace("matchLabels: {}", "matchLabels: {apps: chat}")


@pytest.mark.parametrize(
    ("before", "after"), [(CHAT, TUNED), (TUNED, CHAT)], ids=["to tuning", "to inference"]
)
def test_inference_and_tuning_cannot_become_each_other(before, after):
    found = plan(after, everything(wanted(before)))
    assert [h.reason for h in found.holds] == ["ImmutableField"]
    assert found.steps == ()


def test_a_held_edit_changes_nothing():
    before, after, *_ = IMMUTABLE["resource.count"]
    assert plan(after, everything(wanted(before))).steps == ()


SAME = {  # allowed, or no change at all
    "the method in capitals": (TUNE, tuning_yaml("chat", method="QLoRA")),
    "the default instance type, now written out": (
        CHAT.replace(f"  instanceType: {A100}\n", ""),
        CHAT.replace(A100, DEFAULT_INSTANCE_TYPE),
    ),
    "an instance type in small letters": (CHAT, CHAT.replace(A100, A100.lower())),
    "a count of one, now left out": (CHAT, CHAT.replace("  count: 1\n", "")),
    "the selector as an expression": (
        CHAT,
        CHAT.replace(
            "    matchLabels:\n      apps: chat\n",
            "    matchExpressions: [{key: apps, operator: In, values: [chat]}]\n",
        ),
    ),
    "public access, now written out": (
        CHAT,
        CHAT.replace("    name: phi", "    accessMode: public\n    name: phi"),
    ),
    "preferred nodes": (CHAT, CHAT.replace("  count: 1\n", "  count: 1\n  preferredNodes: [gpu-1]\n")),
    "adapters": (
        CHAT,
        workspace_yaml("chat", selector={"apps": "chat"}, adapters={"a": "registry.example.com/a:1"}),
    ),
    "the content of a template": (TEMPLATED, TEMPLATED.replace("server:1", "server:2")),
    "labels and annotations": (
        CHAT,
        workspace_yaml(
            "chat", selector={"apps": "chat"}, labels={"team": "x"}, annotations={"a.example/b": "c"}
        ),
    ),
    "a tuning's data": (TUNE, TUNE.replace(URL, "https://example.com/other.parquet")),
    "a tuning's output": (TUNE, TUNE.replace("adapters/chat:1", "adapters/chat:2")),
}


@pytest.mark.parametrize(("before", "after"), SAME.values(), ids=SAME)
def test_no_edit_of_an_immutable_field(before, after):
    found = plan(after, everything(wanted(before)))
    assert "ImmutableField" not in [h.reason for h in found.holds]


def test_a_pool_of_another_type_is_an_immutable_edit_too():
    """As after a restart in which the Workspace object is gone."""
    pool = replace(pool_of(WANT), instance_type=V100)
    (hold,) = plan(CHAT, ObservedWorkspace(WANT.id, pools=(pool,))).holds
    assert (hold.reason, V100 in hold.why) == ("ImmutableField", True)


def test_a_count_that_may_change_scales_in_place():
    after = workspace_yaml(
        "chat", selector={"apps": "chat"}, count=2, annotations={"on-immutable-change": "replace"}
    )
    said = summary(plan(after, everything(WANT)))
    assert "ScalePool" in said
    assert "CreatePool" not in said
    assert "DeletePool" not in said


# --- suspension ------------------------------------------------------------------------------------


def suspended(until):
    return f"{UNTIL[until]} ann moving the cluster"


SUSPENSIONS = {
    "in Git, until later": ("later", None, {}, True),
    "in Git, over": ("past", None, {}, False),
    "on the live object": (None, "soon", {}, True),
    "on the live object, over": (None, "past", {}, False),
    "on the live object for ever, seen an hour ago": (None, "later", {"suspended": NOW - 3600}, True),
    "on the live object for ever, seen 25 hours ago": (None, "later", {"suspended": NOW - 25 * 3600}, False),
}


@pytest.mark.parametrize(("git", "on_object", "since", "holds"), SUSPENSIONS.values(), ids=SUSPENSIONS)
def test_suspension(git, on_object, since, holds):
    text = workspace_yaml("chat", annotations={"suspend": suspended(git)} if git else {})
    want = wanted(text)
    mirror = mirror_of(want)
    if on_object:
        mirror.manifest["metadata"]["annotations"][names.SUSPEND] = suspended(on_object)
    seen = everything(want, mirror=mirror, Service=None, since=since)
    said = summary(plan(text, seen))
    assert said == (["hold Suspended"] if holds else ["ApplyObject Service"])


def test_a_malformed_live_suspension_does_not_count():
    mirror = mirror_of(WANT)
    mirror.manifest["metadata"]["annotations"][names.SUSPEND] = "please"
    assert summary(plan(CHAT, everything(WANT, mirror=mirror, Service=None))) == ["ApplyObject Service"]


# --- other operators, tenants ----------------------------------------------------------------------


def marked_by_kaito(**metadata):
    mirror = mirror_of(WANT)
    annotations = {**mirror.manifest["metadata"]["annotations"], **metadata.pop("annotations", {})}
    mirror.manifest["metadata"] |= {"annotations": annotations, **metadata}
    return everything(WANT, mirror=mirror, Service=None)


OPERATORS = {
    "a webhook or deployment of a foreign operator": (
        everything(WANT),
        {"engine_conflict": "a Kaito webhook"},
    ),
    "its finalizer": (marked_by_kaito(finalizers=[names.FOREIGN_FINALIZER]), {}),
    "its annotation": (marked_by_kaito(annotations={names.FOREIGN_HASH: "x"}), {}),
}


@pytest.mark.parametrize("text", [CHAT, ""], ids=["declared", "no longer declared"])
@pytest.mark.parametrize(("seen", "world"), OPERATORS.values(), ids=OPERATORS)
def test_a_foreign_operator_stops_all_writes(seen, world, text):
    other = workspace_yaml("other")
    found = make_plan(desired(text or other), observed(seen, **world), policy())
    assert summary(found) == ["hold EngineConflict"]


def test_the_operators_marks_are_welcome_where_it_does_the_work():
    seen = marked_by_kaito(finalizers=[names.FOREIGN_FINALIZER])
    assert "hold EngineConflict" not in summary(plan(CHAT, seen, policy(engine="kaito")))


def test_a_workspace_outside_its_tenant_is_left_as_it_is():
    refused = {WANT.id: replace(WANT, refused="team a may not")}
    found = make_plan(
        replace(desired(CHAT), workspaces=refused), observed(everything(WANT, Service=None)), policy()
    )
    assert [(h.reason, h.why) for h in found.holds] == [("NotPermitted", "team a may not")]
    assert found.steps == ()


def test_an_invalid_file_is_held_with_its_problem_and_deletes_nothing():
    found = plan(CHAT.replace("phi-3-mini-4k-instruct", "phi-3-mini-4k-instrct"), everything(WANT))
    assert found.steps == ()
    (hold,) = found.holds
    assert hold.reason == "InvalidSpec"
    assert "did you mean phi-3-mini-4k-instruct?" in hold.why
