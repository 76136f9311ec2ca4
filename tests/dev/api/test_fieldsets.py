"""Sets of field paths obey the laws of sets, and an apply those of ownership."""

from hypothesis import given
from hypothesis import strategies as st

from reconciler.dev.api.apply import Writer, after_update, apply, entries_of, rendered
from reconciler.dev.api.fieldsets import changes, difference, fields_of, intersection, paths, union, without
from reconciler.dev.api.schema import ANY, builtin

SETS = st.recursive(
    st.just({}),
    lambda below: st.builds(
        lambda children, member: {**children, ".": {}} if member and children else children,
        st.dictionaries(st.sampled_from(["f:a", "f:b", "f:c"]), below, max_size=3),
        st.booleans(),
    ),
    max_leaves=8,
).map(lambda node: {k: v for k, v in node.items() if k != "."})
VALUES = st.recursive(
    st.sampled_from([1, "x", [1], [2]]),
    lambda below: st.dictionaries(st.sampled_from("abc"), below, min_size=1, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), VALUES, min_size=1, max_size=3)


def members(fields):
    return set(paths(fields))


@given(SETS, SETS)
def test_union_intersection_and_difference_are_those_of_paths(a, b):
    assert members(union(a, b)) == members(a) | members(b)
    assert members(intersection(a, b)) == members(a) & members(b)
    assert members(difference(a, b)) == members(a) - members(b)


@given(OBJECTS, OBJECTS)
def test_changes_lead_from_one_object_to_the_other(old, new):
    changed, removed = changes(old, new, ANY)
    assert (old == new) == (not changed and not removed)
    assert members(removed) <= members(fields_of(old, ANY))
    assert members(changed) <= members(fields_of(new, ANY))


@given(OBJECTS)
def test_what_an_object_claims_taken_away_leaves_nothing(value):
    assert without(value, fields_of(value, ANY), ANY) == {}


def by(manager, operation="Apply"):
    return Writer(manager, operation, "v1", "", "2026-01-01T00:00:00Z")


def applied(live, config, manager, *, force=False):
    """The object that is stored after `manager` applied `config` to `live`."""
    merged, entries = apply(live, {**config, "metadata": {"name": "m"}}, ANY, by(manager), force=force)
    return {**merged, "metadata": {"name": "m", "managedFields": rendered(entries)}}


def owned_by(manager, obj):
    return {p for e in entries_of(obj) if e.writer.manager == manager for p in paths(e.fields)}


@given(OBJECTS, OBJECTS)
def test_applying_the_same_again_changes_nothing_whoever_else_applied(config, other):
    once = applied(applied({}, other, "other"), config, "us", force=True)
    assert applied(once, config, "us") == once


@given(OBJECTS, OBJECTS)
def test_appliers_of_different_fields_never_conflict_and_each_may_leave(ours, theirs):
    theirs = {f"their-{name}": value for name, value in theirs.items()}
    both = applied(applied({}, ours, "us"), theirs, "them")
    assert {k: v for k, v in both.items() if k != "metadata"} == {**ours, **theirs}
    left = applied(both, {}, "us")
    assert {k: v for k, v in left.items() if k != "metadata"} == theirs


@given(OBJECTS, OBJECTS)
def test_a_forced_apply_holds_and_owns_all_that_it_declares(config, other):
    forced = applied(applied({}, other, "other"), config, "us", force=True)
    assert owned_by("us", forced) == members(fields_of(config, ANY))
    assert not changes(applied({}, config, "us"), forced, ANY)[1]


DATA = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("xy"), max_size=4)
STEPS = st.lists(st.tuples(st.sampled_from(["one", "two", "editor"]), DATA), min_size=1, max_size=8)


@given(STEPS)
def test_a_key_lives_exactly_as_long_as_an_owner_or_an_edit_keeps_it(steps):
    """Against a model: data, and who owns each key. Someone's annotation keeps the object tracked."""
    kind = builtin().named("io.k8s.api.core.v1.ConfigMap")
    head = {"name": "m", "annotations": {"kept": "yes"}}
    live = {
        "metadata": head
        | {"managedFields": rendered(after_update({}, {"metadata": head}, kind, [], by("x")))}
    }
    data: dict[str, str] = {}
    owners: dict[str, set[str]] = {}
    for who, wanted in steps:
        said = {"data": wanted} if wanted else {}
        if who == "editor":
            for key in [k for k in {**data, **wanted} if data.get(k) != wanted.get(k)]:
                owners[key] = {who} if key in wanted else set()
            data = dict(wanted)
            new = {"metadata": head, **said}
            entries = after_update(live, new, kind, entries_of(live), by(who, "Update"))
        else:
            for key in [k for k in data if who in owners.get(k, set()) and k not in wanted]:
                owners[key].discard(who)
                if not owners[key]:
                    del data[key]
            for key, value in wanted.items():
                owners[key] = (owners.get(key, set()) if data.get(key) == value else set()) | {who}
                data[key] = value
            new, entries = apply(live, {"metadata": {"name": "m"}, **said}, kind, by(who), force=True)
        found = {"data": new["data"]} if new.get("data") else {}
        live = {"metadata": head | {"managedFields": rendered(entries)}, **found}
        assert live.get("data", {}) == data
        told = {(p, e.writer.manager) for e in entries for p in paths(e.fields) if p.startswith(".data.")}
        assert told == {(f".data.{k}", owner) for k in owners for owner in owners[k]}
