"""`reconciler presets` and `reconciler skus`."""

import json

import pytest
import yaml

from reconciler.model.preset import Preset


def row(out, name):
    return next(line for line in out.splitlines() if line.startswith(name + " "))


async def test_presets_are_listed_with_what_there_is_to_know(cli):
    told = await cli("presets")
    assert told.code == 0
    assert row(told.out, "phi-3-mini-4k-instruct").split()[1:8] == [
        "3.82", "B", "7.12", "GiB", "bfloat16", "4096", "transformers,",
    ]  # fmt: skip
    assert "needs a Hugging Face token" in row(told.out, "llama-3.1-8b-instruct")
    assert "needs an image of your own" in row(told.out, "llama-2-7b")
    listed = json.loads((await cli("presets", "-o", "json")).out)
    assert len(listed) == len(told.out.splitlines()) - 1
    assert all(Preset.model_validate(each) for each in listed)


async def test_one_preset_is_shown_whole(cli):
    told = await cli("presets", "Microsoft/phi-4")
    shown = yaml.safe_load(told.out)
    assert (shown["name"], shown["licence"], shown["architecture"]["layers"]) == ("phi-4", "mit", 40)
    assert json.loads((await cli("presets", "phi-4", "-o", "json")).out) == shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("presets", "phi4"), "the catalogue has no phi4; did you mean phi-4?"),
        (("skus", "Standard_NC24ads_A100v4"), "did you mean Standard_NC24ads_A100_v4?"),
        (("skus", "g5.xlarge"), "the catalogue has no g5.xlarge"),
    ],
)
async def test_a_name_that_is_none_is_refused(cli, arguments, said):
    told = await cli(*arguments)
    assert (told.code, told.out) == (1, "")
    assert said in told.err


async def test_machines_are_listed_with_price_and_end(cli):
    told = await cli("skus")
    assert "3.673" in row(told.out, "Standard_NC24ads_A100_v4")
    assert "retired 2025-09-30: use Standard_NC24ads_A100_v4" in row(told.out, "Standard_NC6s_v3")
    assert row((await cli("skus", "--cloud", "aws")).out, "g5.xlarge")


async def test_prices_are_those_of_the_settings(cli, settings):
    path = settings(prices={"region": "westeurope", "discount": {"StandardNCADSA100v4Family": 0.5}})
    shown = json.loads((await cli("skus", "Standard_NC24ads_A100_v4", "-c", path, "-o", "json")).out)
    assert shown["price"]["region"] == "westeurope"
    listed = json.loads((await cli("skus", "Standard_NC24ads_A100_v4", "-o", "json")).out)
    assert shown["price"]["dollarsPerHour"] < listed["price"]["dollarsPerHour"]
