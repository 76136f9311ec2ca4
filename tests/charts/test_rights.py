"""The chart grants what the daemon needs in each mode with each engine, and what more it grants is explained.

That nothing is missing is checked after every test of a running daemon, by its bed; here, what is left over.
"""

import json
from typing import get_args

import pytest
import yaml
from e2e.bed import NAMESPACE, inference, tuning
from e2e.proxy import Passed
from plugins import rbac
from plugins.helm import rendered, values

from reconciler.cluster.apply import install_crd
from reconciler.model.rights import RIGHTS, rights
from reconciler.model.settings import Engine, Mode
from reconciler.wiring import crd

COMBINATIONS = [(mode, engine) for mode in get_args(Mode) for engine in get_args(Engine)]

_REVIEWS = "a pull request's plan looks at the few names that it would take, where a list would be long"
_BROKEN = "only when something is wrong with the daemon's surroundings: tests/e2e/test_conditions.py"
_RESUMED = "native writes ConfigMaps of what runs already, as where full became deliver"
_WATCHED = "until a definition that was made is established: at once in the development cluster"
SURPLUS = {
    ("get", "workspaces", ""): _REVIEWS,
    ("get", "configmaps", ""): _REVIEWS,
    ("get", "services", ""): _REVIEWS,
    ("get", "deployments", ""): _REVIEWS,
    ("get", "jobs", ""): _REVIEWS,
    **{(verb, "configmaps", ""): _RESUMED for verb in ("create", "patch", "delete")},
    ("create", "events", "own"): _BROKEN,
    ("watch", "customresourcedefinitions", ""): _WATCHED,
}
"""(verb, resource, where) that no request of the scenarios below needs, and why it is granted."""


@pytest.mark.parametrize(("mode", "engine"), COMBINATIONS)
def test_the_roles_are_the_table_and_name_no_secret(mode, engine):
    granted = rbac.grants(rendered(values(mode=mode, engine=engine)))
    assert {grant[:3] for grant in granted} == {
        (verb, right.group, right.plural) for right in rights(mode, engine) for verb in right.verbs
    }
    assert not any("secret" in grant.resource or "*" in grant[:3] for grant in granted)


def test_writes_can_be_bounded_to_namespaces():
    given = values(mode="full", engine="native") | {"rights": {"namespaces": ["ai", "ml"]}}
    unbounded = {grant[:3] for grant in rbac.grants(rendered(given)) if not grant.namespace}
    writes = {each for each in unbounded if each[0] not in ("get", "list", "watch")}
    assert writes == {("create", "apiextensions.k8s.io", "customresourcedefinitions")}
    bounded = [grant for grant in rbac.grants(rendered(given)) if grant.namespace in ("ai", "ml")]
    wanted = {(verb, r.plural) for r in RIGHTS if r.where == "workspaces" for verb in r.verbs}
    assert {(grant.verb, grant.resource) for grant in bounded} == wanted


def test_a_tenants_account_is_impersonated_by_its_name_alone():
    tenants = [{"name": name, "namespaces": [name], "serviceAccount": "shared:writer"} for name in ("a", "b")]
    granted = rbac.grants(rendered(values(mode="deliver", engine="kaito", tenants=tenants)))
    found = [grant for grant in granted if grant.verb == "impersonate"]
    assert found == [rbac.Grant("impersonate", "", "serviceaccounts", "shared", ("writer",))]


REFUSED = {
    "a write in observe": ("observe", Passed("PATCH", "/api/v1/namespaces/ai/configmaps/a", "", 200)),
    "a pool's workload in deliver": (
        "deliver",
        Passed("PATCH", "/apis/apps/v1/namespaces/ai/deployments/a", "", 201),
    ),
    "somebody else's lease": (
        "full",
        Passed("PUT", "/apis/coordination.k8s.io/v1/namespaces/reconciler-system/leases/x", "", 200),
    ),
    "a Secret": ("full", Passed("GET", "/api/v1/namespaces/ai/secrets/push", "", 200)),
}


@pytest.mark.parametrize(("mode", "asked"), REFUSED.values(), ids=REFUSED.keys())
def test_is_not_granted(mode, asked):
    granted = rbac.grants(rendered(values(mode=mode)))
    assert rbac.refused(rbac.needs([asked]), granted) != []


# --- what is left over -----------------------------------------------------------------------------


def configured(name: str) -> str:
    """A tuning with a ConfigMap beside it."""
    spec = yaml.safe_load(tuning(name, method="lora"))
    spec["tuning"]["config"] = f"{name}-config"
    text = yaml.safe_dump({"training_config": {"ModelConfig": {"torch_dtype": "bfloat16"}}})
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{name}-config"},
        "data": {"training_config.yaml": text},
    }
    return yaml.safe_dump_all([spec, config])


def told(bed, names: set[str], final: bool):
    async def so() -> bool:
        phases = bed.index().get("workspaces", {})
        ended = not final or set(phases.values()) <= {"Ready", "Succeeded"}
        return phases.keys() == {f"{NAMESPACE}/{name}" for name in names} and ended

    return so


async def played(bed, mode, engine):
    """A push, a change, a removal, as far as the mode goes."""
    bed.settings |= {"mode": mode, "engine": engine}
    if engine == "kaito":
        del bed.settings["provisioner"]
    if mode == "observe" and engine == "native":  # which nobody installs then
        await install_crd(bed.client, crd())
    final = mode == "full" or (engine, mode) == ("kaito", "deliver")
    await bed.run()
    specs = {name: inference(name) for name in ("chat", "stay")} | {"tune": configured("tune")}
    bed.push({f"{name}.yaml": text for name, text in specs.items()})
    await bed.until(told(bed, set(specs), final), "all to be told of")
    bed.push({"chat.yaml": None, "tune.yaml": None})
    await bed.until(told(bed, {"stay"}, final), "two to be gone")
    await bed.until(lambda: _left(bed), "their ConfigMaps to be gone, too")
    assert await bed.end() == 0
    return bed.needed()


async def _left(bed):
    return not any(name.startswith(("chat", "tune")) for name in await bed.names("ConfigMap"))


@pytest.fixture
def left_over():
    """What is granted and was not needed, by verb, resource and where."""

    def find(needed: set[rbac.Need], mode: Mode, engine: Engine) -> set[tuple[str, str, str]]:
        granted = rbac.grants(rendered(values(mode=mode, engine=engine)))
        idle = rbac.idle(needed, granted)
        return {(grant.verb, grant.resource, "own" if grant.namespace else "") for grant in idle}

    return find


@pytest.mark.dev_only("the requests of one scenario are counted; the others run everywhere")
@pytest.mark.parametrize(("mode", "engine"), [pair for pair in COMBINATIONS if pair != ("full", "kaito")])
async def test_what_is_granted_is_needed_or_explained(new_bed, left_over, mode, engine):
    bed = await new_bed(operator="head" if engine == "kaito" else None)
    needed = await played(bed, mode, engine)
    found = left_over(needed, mode, engine)
    unexplained = found - SURPLUS.keys()
    assert not unexplained, json.dumps(sorted(unexplained))


def test_full_is_deliver_with_the_operator():
    assert rbac.grants(rendered(values(mode="full", engine="kaito"))) == rbac.grants(
        rendered(values(mode="deliver", engine="kaito"))
    )
