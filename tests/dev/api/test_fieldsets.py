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
    assert not isinstance(without(value, fields_of(value, ANY), ANY), dict)


def by(manager, operation="Apply"):
    return Writer(manager, operation, "v1", "", "2026-01-01T00:00:00Z")


DATA = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("xy"), max_size=4)
STEPS = st.lists(st.tuples(st.sampled_from(["one", "two", "editor"]), DATA), min_size=1, max_size=8)


@given(STEPS)
def test_a_key_lives_exactly_as_long_as_an_owner_or_an_edit_keeps_it(steps):
    """Against a model: data, and who owns each key."""
    kind = builtin().named("io.k8s.api.core.v1.ConfigMap")
    live = {"metadata": {"name": "m"}}
    data: dict[str, str] = {}
    owners: dict[str, set[str]] = {}
    for who, wanted in steps:
        new = {"metadata": {"name": "m"}, "data": wanted} if wanted else {"metadata": {"name": "m"}}
        if who == "editor":
            for key in [k for k in {**data, **wanted} if data.get(k) != wanted.get(k)]:
                owners[key] = {who} if key in wanted else set()
            data = dict(wanted)
            entries = after_update(live, new, kind, entries_of(live), by(who, "Update"))
        else:
            for key in [k for k in data if who in owners.get(k, set()) and k not in wanted]:
                owners[key].discard(who)
                if not owners[key]:
                    del data[key]
            for key, value in wanted.items():
                owners[key] = (owners.get(key, set()) if data.get(key) == value else set()) | {who}
                data[key] = value
            new, entries = apply(live, new, kind, by(who), force=True)
        live = {"metadata": {"name": "m", "managedFields": rendered(entries)}, "data": new.get("data", {})}
        assert live["data"] == data
        found = {(p, e.writer.manager) for e in entries for p in paths(e.fields)}
        assert found == {(f".data.{k}", owner) for k in owners for owner in owners[k]}
