"""What workspaces of one repository do to each other: told to each, refused to none."""

from dataclasses import replace

import pytest
import yaml
from builders import A100, V100, context, declared, output_of, tuning_yaml, workspace_yaml, ws

from reconciler.planning.resolve import resolve


def warnings(*texts, engine="native"):
    """By name of the workspace; what concerns one alone left out."""
    files = {f"{number}.yaml": text for number, text in enumerate(texts)}
    found = resolve(declared(files), replace(context(), engine=engine))
    assert not found.invalid
    kept = ("also the output", "no tuning here", "labelSelector")
    return {
        id.name: [said for said in want.warnings if any(word in said for word in kept)]
        for id, want in found.workspaces.items()
    }


def selecting(name, labels, machine=A100):
    document = yaml.safe_load(workspace_yaml(name, instance_type=machine))
    document["resource"]["labelSelector"] = {"matchLabels": labels}
    return yaml.safe_dump(document)


def pushing(name, image):
    document = yaml.safe_load(tuning_yaml(name))
    document["tuning"]["output"]["image"] = image
    return yaml.safe_dump(document)


def test_two_tunings_of_one_output_are_told_of_each_other():
    image = output_of("shared")
    found = warnings(pushing("a", image), pushing("b", image), pushing("c", output_of("own")))
    assert found == {
        "a": [f"{image} is also the output of {ws('b')}: whichever ends last stays"],
        "b": [f"{image} is also the output of {ws('a')}: whichever ends last stays"],
        "c": [],
    }


OUTPUT = "registry.example.com/adapters/t:1"
ADAPTERS = {
    "the output itself": (OUTPUT, False),
    "another tag of it": ("registry.example.com/adapters/t:2", True),
    "no tag": ("registry.example.com/adapters/t", True),
    "a digest of it": (f"registry.example.com/adapters/t@sha256:{'0' * 64}", False),
    "another repository": ("registry.example.com/adapters/u:1", False),
}


@pytest.mark.parametrize(("image", "told"), ADAPTERS.values(), ids=ADAPTERS.keys())
def test_an_adapter_that_no_tuning_makes_is_told_where_one_nearly_does(image, told):
    found = warnings(pushing("t", OUTPUT), workspace_yaml("s", adapters={"x": image}))
    assert bool(found["s"]) == told
    assert not told or f"{ws('t')} makes {OUTPUT}" in found["s"][0]


SELECTORS = {
    "equal": ({"apps": "x"}, {"apps": "x"}, A100, {"a", "b"}),
    "one within the other": ({"apps": "x"}, {"apps": "x", "team": "y"}, A100, {"a"}),
    "apart": ({"apps": "x"}, {"apps": "y"}, A100, set()),
    "other machines": ({"apps": "x"}, {"apps": "x"}, V100, set()),
    "an empty one": ({}, {"apps": "x"}, A100, {"a"}),
}


@pytest.mark.parametrize(("one", "other", "machine", "told"), SELECTORS.values(), ids=SELECTORS.keys())
def test_kaito_would_let_one_take_the_others_nodes(one, other, machine, told):
    texts = selecting("a", one), selecting("b", other, machine)
    assert {name for name, said in warnings(*texts, engine="kaito").items() if said} == told
    assert not any(warnings(*texts).values()), "our own engine keeps nodes apart"
