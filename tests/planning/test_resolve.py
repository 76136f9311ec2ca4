"""What the files of one commit mean: sound, invalid and broken ones, and how workspaces hang together."""

from dataclasses import replace

import pytest
from builders import (
    config_yaml,
    context,
    declared,
    desired,
    output_of,
    qlora_config,
    tuning_yaml,
    wanted,
    workspace_yaml,
    ws,
)

from reconciler.model import names
from reconciler.model.settings import Tenant
from reconciler.planning.resolve import Memo, resolve, resolve_again

A, B = workspace_yaml("a"), workspace_yaml("b")


def resolved(files, **more):
    return resolve(declared(files, **more), context())


def test_a_sound_tree():
    found = resolved({"x/a.yaml": A, "two.yaml": f"{B}---\n{workspace_yaml('c', namespace='ml')}"})
    assert set(found.workspaces) == {ws("a"), ws("b"), ws("c", "ml")}
    assert (found.invalid, found.broken) == ({}, {})
    assert (found.workspaces[ws("b")].origin.path, found.workspaces[ws("b")].origin.line) == ("two.yaml", 1)
    assert found.workspaces[ws("c", "ml")].origin.line > 1


def test_a_problem_quarantines_its_file_and_no_other():
    found = resolved({"ab.yaml": f"{A}---\n{workspace_yaml('b', count=0)}", "c.yaml": workspace_yaml("c")})
    assert set(found.workspaces) == {ws("c")}
    assert set(found.invalid) == {ws("a"), ws("b")}
    assert found.broken["ab.yaml"].identities == {ws("a"), ws("b")}


def test_what_a_catalogue_refuses_makes_its_workspace_alone_invalid():
    found = resolved({"ab.yaml": f"{A}---\n{workspace_yaml('b', preset='nope')}"})
    assert set(found.workspaces) == {ws("a")}
    assert set(found.invalid) == {ws("b")}


def test_a_file_that_does_not_parse_is_what_it_last_declared():
    found = resolved({"a.yaml": "a: [1"}, remembered={"a.yaml": frozenset({ws("a")})})
    assert set(found.invalid) == {ws("a")}
    assert resolved({"a.yaml": "a: [1"}).broken["a.yaml"].identities is None


def test_one_identity_in_two_files_is_an_error_in_both():
    found = resolved({"a.yaml": A, "sub/a.yaml": A, "b.yaml": B})
    assert set(found.workspaces) == {ws("b")}
    assert set(found.broken) == {"a.yaml", "sub/a.yaml"}
    assert "also declared at sub/a.yaml:1" in found.broken["a.yaml"].problems[0].rule
    assert "also declared at a.yaml:1" in found.broken["sub/a.yaml"].problems[0].rule


def test_one_name_in_two_namespaces_is_two_workspaces():
    found = resolved({"a.yaml": A, "ml.yaml": workspace_yaml("a", namespace="ml")})
    assert set(found.workspaces) == {ws("a"), ws("a", "ml")}


DECLARED = {
    "nothing": ({}, False),
    "only a ConfigMap": ({"c.yaml": config_yaml("c", "x")}, False),
    "a workspace": ({"a.yaml": A}, True),
    "only a broken file": ({"a.yaml": "a: [1"}, True),
}


@pytest.mark.parametrize(("files", "anything"), DECLARED.values(), ids=DECLARED)
def test_whether_anything_is_declared(files, anything):
    assert resolved(files).declared_anything == anything


# --- configuration ---------------------------------------------------------------------------------


def test_a_named_configuration_is_part_of_the_content():
    named = tuning_yaml("t", config="c")
    one = resolved({"t.yaml": named, "c.yaml": config_yaml("c", qlora_config(1))}).workspaces[ws("t")]
    two = resolved({"t.yaml": named, "c.yaml": config_yaml("c", qlora_config(2))}).workspaces[ws("t")]
    assert one.config[0].manifest["data"]["training_config.yaml"] == qlora_config(1)
    assert one.content_key != two.content_key
    assert one.mirror.spec != two.mirror.spec


@pytest.mark.parametrize(
    "other", [{}, {"c.yaml": config_yaml("c", "x", key="wrong.yaml")}], ids=["none", "wrong key"]
)
def test_a_missing_configuration_is_a_problem(other):
    found = resolved({"t.yaml": tuning_yaml("t", config="c"), **other})
    (problem,) = found.invalid[ws("t")]
    assert (problem.field, problem.value) == ("tuning.config", "c")


def test_without_a_configuration_the_methods_default_is_used():
    plain = context(templates=(("qlora", "default"),))
    assert (
        wanted(tuning_yaml("t"), where=plain).config[0].manifest["data"]["training_config.yaml"] == "default"
    )


# --- between workspaces ----------------------------------------------------------------------------

TUNE = tuning_yaml("t")
USES = workspace_yaml("u", adapters={"x": output_of("t")})


def test_an_adapter_that_a_tuning_makes_is_waited_for():
    assert desired(TUNE, USES).workspaces[ws("u")].needs == {ws("t")}
    assert desired(USES).workspaces[ws("u")].needs == frozenset()


def test_a_tuning_may_take_another_ones_output_as_input():
    second = tuning_yaml("s", input={"image": output_of("t")})
    assert desired(TUNE, second).workspaces[ws("s")].needs == {ws("t")}


def test_a_cycle_is_a_problem_of_all_in_it_and_of_nobody_else():
    one = tuning_yaml("one", input={"image": output_of("two")})
    two = tuning_yaml("two", input={"image": output_of("one")})
    uses = workspace_yaml("uses", adapters={"x": output_of("one")})
    found = desired(one, two, uses)
    assert set(found.invalid) == {ws("one"), ws("two")}
    assert "waits for the output of ai/two" in found.invalid[ws("one")][0].rule
    assert set(found.workspaces) == {ws("uses")}


# --- what becomes of it ----------------------------------------------------------------------------


def test_every_object_is_marked_as_ours():
    want = wanted(workspace_yaml("a"))
    for made in (want.mirror, *want.objects):
        annotations = made.manifest["metadata"]["annotations"]
        assert annotations[names.OWNER] == "c1/ai/a"
        assert (annotations[names.SPEC], annotations[names.RENDER]) == (made.spec, made.render)
        assert made.manifest["metadata"]["labels"][names.MANAGED_BY] == names.MANAGER


def test_only_listed_labels_reach_the_children():
    want = wanted(workspace_yaml("a", labels={"team": "x", "argocd.argoproj.io/instance": "y"}))
    for child in want.objects:
        assert child.manifest["metadata"]["labels"]["team"] == "x"
        assert "argocd.argoproj.io/instance" not in child.manifest["metadata"]["labels"]


def test_moving_a_file_changes_no_fingerprint():
    here, there = resolved({"a.yaml": A}), resolved({"team/a.yaml": A})
    one, two = here.workspaces[ws("a")], there.workspaces[ws("a")]
    assert (one.mirror.spec, one.mirror.render) == (two.mirror.spec, two.mirror.render)
    assert [o.render for o in one.objects] == [o.render for o in two.objects]


def test_the_memo_gives_the_same_as_a_fresh_look():
    memo = Memo()
    trees = [{"a.yaml": A, "t.yaml": TUNE}, {"x/a.yaml": A, "b.yaml": B}, {"a.yaml": A}]
    for files in [*trees, *trees]:
        found, memo = resolve_again(declared(files), context(), memo)
        assert found == resolve(declared(files), context())


def test_a_memoised_workspace_knows_the_commit_that_changed_it_last():
    memo = Memo()
    for commit in ("one", "two"):
        found, memo = resolve_again(declared({"a.yaml": A}, commits={"a.yaml": commit}), context(), memo)
        assert found.workspaces[ws("a")].origin.commit == commit


def test_engine_kaito_declares_the_workspace_alone():
    want = wanted(A, where=context(engine="kaito"))
    assert (want.pool, want.workload, want.objects) == (None, None, ())
    assert want.mirror.manifest["inference"] == {"preset": {"name": "phi-3-mini-4k-instruct"}}


def test_a_pool_is_sized_by_the_workspace():
    pool = wanted(workspace_yaml("a", count=2, selector={"apps": "a"})).pool
    assert (pool.key, pool.count, pool.gpus_per_node) == ("ai/a", 2, 1)
    assert dict(pool.labels)["apps"] == "a"


def test_two_workspaces_with_one_selector_share_no_nodes():
    one, two = (wanted(workspace_yaml(n, selector={"apps": "same"})) for n in "ab")
    assert dict(one.pool.labels) != dict(two.pool.labels)
    assert replace(one.pool, key="", labels=()) == replace(two.pool, key="", labels=())


def test_the_memo_remembers_no_more_than_the_last_tree():
    memo = Memo()
    for count in range(1, 9):
        _, memo = resolve_again(declared({"a.yaml": workspace_yaml("a", count=count)}), context(), memo)
    assert len(memo) == 1


def test_the_memo_sees_that_only_a_configuration_changed():
    memo, named = Memo(), tuning_yaml("t", config="c")
    for text in (qlora_config(1), qlora_config(2)):
        files = {"t.yaml": named, "c.yaml": config_yaml("c", text)}
        found, memo = resolve_again(declared(files), context(), memo)
        want = found.workspaces[ws("t")]
        assert want.config[0].manifest["data"]["training_config.yaml"] == text


@pytest.mark.parametrize("tenants", [(), (Tenant(name="t", namespaces=("ai",), max_gpus=64),)], ids=len)
def test_what_means_what_it_meant_is_the_same_object(tenants):
    """Whoever compares two trees of thousands can do so by identity."""
    where = context(tenants=tenants)
    files = {"a.yaml": A, "b.yaml": B}
    before, memo = resolve_again(declared(files), where, {})
    after, _ = resolve_again(declared({**files, "b.yaml": workspace_yaml("b", count=2)}), where, memo)
    assert after.workspaces[ws("a")] is before.workspaces[ws("a")]
    assert after.workspaces[ws("b")] != before.workspaces[ws("b")]
