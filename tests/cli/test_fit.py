"""`fit` on the catalogues that ship."""

import json

A100, V100 = "Standard_NC24ads_A100_v4", "Standard_NC6s_v3"
FOUR_A100 = "Standard_NC96ads_A100_v4"
DECLARED = """
apiVersion: kaito.sh/v1beta1
kind: Workspace
metadata: {name: phi, namespace: ai}
resource:
  instanceType: Standard_NV36ads_A10_v5
  labelSelector: {matchLabels: {apps: phi}}
inference:
  preset: {name: phi-4-mini-instruct}
  config: phi
---
apiVersion: v1
kind: ConfigMap
metadata: {name: phi, namespace: ai}
data:
  inference_config.yaml: |
    vllm: {max-model-len: 100000}
"""


def first_cells(table: str) -> list[str]:
    return [line.split()[0] for line in table.splitlines()[1:]]


async def options(cli, *arguments: str) -> list[dict]:
    return json.loads((await cli("fit", *arguments, "-o", "json")).out)["options"]


async def test_the_cheapest_that_fits_and_can_be_bought_comes_first(cli):
    found = [each for each in await options(cli, "phi-3-mini-4k-instruct") if each["fits"]]
    offered = [each["dollarsPerHour"] for each in found if not each["retired"] and each["dollarsPerHour"]]
    assert A100 in [each["instanceType"] for each in found]
    assert offered == sorted(offered)
    gone = [bool(each["retired"]) for each in found]
    assert gone == sorted(gone)


async def test_one_machine_is_told_with_nodes_gpus_context_and_price(cli):
    outcome = await cli("fit", "mistral-7b-instruct", "--instance-type", A100)
    assert outcome.code == 0
    (row,) = outcome.out.splitlines()[1:]
    assert row.split() == [A100, "1×A100", "80", "GiB", "yes", "1", "1", "(1×1)", "32768", "3.67"]


async def test_a_machine_that_is_no_longer_offered_says_what_replaces_it(cli):
    outcome = await cli("fit", "phi-3-mini-4k-instruct", "-i", V100)
    assert outcome.code == 0
    assert f"retired 2025-09-30, use {A100}" in outcome.out


async def test_what_does_not_fit_is_counted_or_told_with_the_reason(cli):
    short = await cli("fit", "mistral-7b-instruct")
    assert short.code == 0
    assert V100 not in first_cells(short.out)
    assert "not fit; --all says why" in short.out
    every = await cli("fit", "mistral-7b-instruct", "--all")
    assert V100 in first_cells(every.out)
    (row,) = (line for line in every.out.splitlines() if line.startswith(V100))
    assert " no " in row and "short of " in row and "GiB per GPU on 1 node" in row


async def test_status_1_where_nothing_fits_and_the_reasons_are_shown_unasked(cli):
    outcome = await cli("fit", "phi-3-mini-4k-instruct", "--context", "9999")
    assert outcome.code == 1
    assert "9999 tokens are above the model's own limit of 4096" in outcome.out


async def test_more_sequences_need_a_larger_machine(cli):
    one, many = [
        {
            each["instanceType"]: each["fits"]
            for each in await options(cli, "phi-3-mini-4k-instruct", "--sequences", n)
        }
        for n in ("1", "10")
    ]
    assert one[V100] and one[A100]
    assert many[A100] and not many[V100]


async def test_what_fits_is_what_validate_accepts(cli):
    """Two A100 would hold this model, and Kaito asks for 161.4 GiB."""
    outcome = await cli("fit", "mistral-medium-3.5-128b", "-i", "Standard_NC48ads_A100_v4")
    assert outcome.out.splitlines()[1].split()[4:6] == ["yes", "2"]
    assert "1 node would hold it, but not pass Kaito's checks" in outcome.out
    few = await cli("fit", "llama-2-13b", "-i", A100)
    assert few.code == 1
    assert "1 × Standard_NC24ads_A100_v4 has 1 GPUs, and llama-2-13b needs at least 2" in few.out


async def test_tuning_by_lora_needs_more_than_by_qlora(cli):
    need = {}
    for method in ("lora", "qlora"):
        (found,) = await options(cli, "phi-3-mini-4k-instruct", "--method", method, "-i", A100)
        need[method] = found["neededGibPerGpu"]
    assert need["lora"] > 7.12 > need["qlora"]


async def test_a_cloud_is_chosen_by_its_machines(cli):
    found = [
        each["instanceType"] for each in await options(cli, "phi-3-mini-4k-instruct", "--cloud", "azure")
    ]
    assert A100 in found
    assert all(name.startswith("Standard_") for name in found)


async def test_a_preset_that_is_not_known_or_cannot_be_tuned_is_an_error(cli):
    unknown = await cli("fit", "phi3-mini-4k-instruct")
    assert (unknown.code, unknown.err) == (
        1,
        "error: the catalogue has no phi3-mini-4k-instruct; did you mean phi-3-mini-4k-instruct?\n",
    )
    untunable = await cli("fit", "mistral-7b-instruct", "--method", "lora")
    assert (untunable.code, untunable.err) == (1, "error: mistral-7b-instruct: this preset cannot be tuned\n")
    machine = await cli("fit", "mistral-7b-instruct", "-i", "Standard_NC24ads_A100_v3")
    assert machine.code == 1
    assert f"did you mean {A100}?" in machine.err


async def test_a_context_below_nothing_is_wrong_usage(cli):
    assert (await cli("fit", "mistral-7b-instruct", "--context", "-1")).code == 64


async def test_a_model_nobody_listed_says_what_is_not_known(cli):
    outcome = await cli("fit", "some/model")
    assert (outcome.code, outcome.err) == (
        1,
        "error: some/model: the catalogue knows no layers, heads and context of it\n",
    )


async def test_the_runtime_decides_how_the_model_is_cut(cli):
    cut = {}
    for runtime in ("transformers", "vllm"):
        (found,) = await options(cli, "mistral-7b-instruct", "-i", FOUR_A100, "--runtime", runtime)
        cut[runtime] = found["tensorParallel"], found["pipelineParallel"]
    assert cut == {"transformers": (1, 4), "vllm": (4, 1)}
    none = await cli("fit", "deepseek-r1-0528", "--runtime", "transformers")
    assert none.code == 1
    assert none.err == "error: deepseek-r1-0528 is not served by transformers; it is by vllm\n"


async def test_vllm_is_not_offered_gpus_too_old_for_it(cli):
    old = await cli("fit", "mistral-7b-instruct", "--runtime", "vllm", "-i", "Standard_NC64as_T4_v3")
    assert old.code == 1
    assert "it takes CUDA compute capability 8.0, and its T4 has 7.5" in old.out


async def test_layers_shared_over_pcie_are_told(cli):
    slow, fast = [
        await cli("fit", "phi-4", "-i", name)
        for name in ("Standard_NV72ads_A10_v5", "Standard_NC48ads_A100_v4")
    ]
    assert "no NVLink known" in slow.out
    assert "NVLink" not in fast.out


async def test_validate_judges_the_context_that_a_configuration_asks_for(cli, tmp_path):
    (tmp_path / "phi.yaml").write_text(DECLARED)
    outcome = await cli("validate", tmp_path)
    assert outcome.code == 0
    assert (
        "warning: max-model-len 100000 is more than 1 × Standard_NV36ads_A10_v5 can hold: "
        "at most 82624 tokens fit" in outcome.out
    )
