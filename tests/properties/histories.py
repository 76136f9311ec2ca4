"""Histories: what people push and what befalls the world in between, for hypothesis to draw."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from builders import A100, V100, output_of, policy, tuning_yaml, workspace_yaml
from hypothesis import strategies as st
from small_world import SmallWorld

from reconciler.model import names
from reconciler.model.names import ObjectKey
from reconciler.model.settings import Limits

FREE = policy(limits=Limits(max_deleted=10_000, max_gpus_freed=10_000))
"""No limit holds anything."""
REPLACE = {"on-immutable-change": "replace"}
LETTERS = "abcd"
UNREADABLE = "a: [1"


@dataclass(frozen=True)
class Spec:
    """Short to read where a test fails; `method` makes it a tuning."""

    name: str
    kind: str
    count: int = 1
    team: str = "x"
    adapter: bool = False
    method: str = ""

    @property
    def text(self) -> str:
        if self.method:
            return tuning_yaml(self.name, method=self.method, instance_type=self.kind, annotations=REPLACE)
        return workspace_yaml(
            self.name,
            count=self.count,
            instance_type=self.kind,
            adapters={"x": output_of("a")} if self.adapter else {},
            labels={"team": self.team},
            annotations=REPLACE,
        )


kinds = st.sampled_from([A100, V100])


def specs(name: str):
    serving = st.builds(Spec, st.just(name), kinds, st.integers(1, 2), st.sampled_from("xy"), st.booleans())
    return st.one_of(
        serving, st.builds(Spec, st.just(name), kinds, method=st.sampled_from(["lora", "qlora"]))
    )


folders = st.sampled_from(["", "team/"])


@st.composite
def trees(draw, least=0):
    """Files by path, each with one workspace, in either of two folders."""
    chosen = draw(st.lists(st.sampled_from(LETTERS), min_size=least, max_size=4, unique=True))
    return {f"{draw(folders)}{name}.yaml": draw(specs(name)) for name in chosen}


def texts(tree) -> dict[str, str]:
    return {path: spec.text for path, spec in tree.items()}


# --- disturbances ----------------------------------------------------------------------------------

EDITS = {
    "Deployment": (["spec", "replicas"], 7),
    "Service": (["spec", "type"], "NodePort"),
    "ConfigMap": (["data", "settings.json"], "{}"),
    "Workspace": (["resource", "count"], 9),
    "Job": (["metadata", "labels", names.MANAGED_BY], "helm"),
}


@dataclass(frozen=True)
class Disturbance:
    """`which` picks the target among those there are."""

    kind: str
    which: int = 0

    def befall(self, world: SmallWorld) -> None:
        getattr(self, f"_{self.kind}")(world)

    def _pick(self, items: list) -> Iterator:
        return iter(items[self.which % len(items) :][:1]) if items else iter(())

    def _delete(self, world: SmallWorld) -> None:
        for key in self._pick(sorted(world.objects)):
            world.delete(key)

    def _edit(self, world: SmallWorld) -> None:
        for key in self._pick(sorted(world.objects)):
            path, value = EDITS[key.kind]
            world.edit(key, path, value)

    def _disown(self, world: SmallWorld) -> None:
        for key in self._pick(sorted(world.objects)):
            world.edit(key, ["metadata", "annotations", names.OWNER], "")

    def _lose_nodes(self, world: SmallWorld) -> None:
        for name in self._pick(sorted(world.pools)):
            world.lose_nodes(name)

    def _lose_pool(self, world: SmallWorld) -> None:
        for name in self._pick(sorted(world.pools)):
            world.lose_pool(name)

    def _fail_pool(self, world: SmallWorld) -> None:
        for name in self._pick(sorted(world.pools)):
            world.fail_pool(name)

    def _restart(self, world: SmallWorld) -> None:
        world.restart()
        _again(world)

    def _crash(self, world: SmallWorld) -> None:
        world.crash(self.which)
        _again(world)

    def _blind(self, world: SmallWorld) -> None:
        world.unseen = frozenset({("cluster", "simulated")[self.which % 2]})

    def _see(self, world: SmallWorld) -> None:
        world.unseen = frozenset()

    def _occupy(self, world: SmallWorld) -> None:
        kind = ("Workspace", "Deployment", "Service", "ConfigMap", "Job")[self.which % 5]
        name = LETTERS[self.which % 4]
        world.occupy(ObjectKey(kind, "ai", f"{name}-settings" if kind == "ConfigMap" else name))

    def _spoil(self, world: SmallWorld) -> None:
        """A file no longer parses."""
        for path in self._pick(sorted(world.files)):
            _spoilt(world, {**world.files, path: UNREADABLE})

    def _spoil_moved(self, world: SmallWorld) -> None:
        """A file is moved and spoilt in one commit."""
        for path in self._pick(sorted(world.files)):
            rest = {p: text for p, text in world.files.items() if p != path}
            _spoilt(world, {**rest, f"moved/{path}": UNREADABLE})


def _again(world: SmallWorld) -> None:
    """The same commit, read anew."""
    spoilt = world.spoilt
    world.push(world.files)
    world.spoilt = spoilt


def _spoilt(world: SmallWorld, files: Mapping[str, str]) -> None:
    before, already = frozenset(world.desired.workspaces), world.spoilt
    world.push(files)
    world.spoilt = already | (before - world.desired.workspaces.keys())


HARMLESS = (
    "delete",
    "edit",
    "lose_nodes",
    "lose_pool",
    "fail_pool",
    "restart",
    "crash",
    "blind",
    "see",
    "occupy",
)
ALL = (*HARMLESS, "spoil", "spoil_moved", "disown")


def disturbances(which=HARMLESS):
    return st.lists(st.builds(Disturbance, st.sampled_from(which), st.integers(0, 19)), max_size=4)


def histories(which=HARMLESS, least=0, size=3):
    """Pushes, each followed by disturbances, with some cycles after each."""
    act = st.tuples(st.integers(0, 6), disturbances(which))
    return st.lists(st.tuples(trees(least), st.lists(act, max_size=2)), min_size=1, max_size=size)


def live_through(history, world: SmallWorld, cycle: Callable[[], object] | None = None) -> None:
    """`cycle` is called for each cycle in between."""
    edits = 0
    for tree, acts in history:
        world.push(texts(tree))
        for cycles, befalls in acts:
            for _ in range(cycles):
                (cycle or world.cycle)()
            for disturbance in befalls:
                edits += disturbance.kind == "edit"
                if disturbance.kind != "edit" or edits <= 2:  # a third time is contested
                    disturbance.befall(world)
