"""The catalogues that ship, and mistakes in others."""

import pytest

from reconciler.errors import InvalidSpec
from reconciler.model.preset import BASE_IMAGE
from reconciler.model.settings import CatalogueSettings, PriceSettings
from reconciler.model.sizing.serving import least_gib
from reconciler.sources import catalog

SHIPPED = catalog.load()
BYTES = {"bfloat16": 2, "float16": 2, "float8": 1, "int4": 0.5, "mxfp4": 0.53, "nvfp4": 0.56}


def test_the_shipped_presets_are_all_there():
    eras = {
        "falcon-40b-instruct",
        "llama-2-70b-chat",
        "phi-3-mini-128k-instruct",
        "phi-4",
        "deepseek-v3-0324",
    }
    assert {preset.name for preset in SHIPPED.presets} >= eras
    assert len(list(SHIPPED.presets)) >= 71


@pytest.mark.parametrize("preset", list(SHIPPED.presets), ids=lambda preset: preset.name)
def test_what_is_said_of_a_preset_hangs_together(preset):
    shape, weights = preset.architecture, preset.weights
    assert shape.heads % shape.kv_heads == 0
    assert shape.sliding_layers <= shape.layers
    assert preset.disk_gib > weights.gib, "the weights are kept on the node's disk"
    assert preset.image or preset.access == "private"
    assert set(preset.lora) <= {"transformers", "vllm"}
    assert weights.repository.lower() in {alias.lower() for alias in preset.aliases}
    if weights.parameters:
        expected = weights.parameters * 1e9 * BYTES[weights.dtype] / 2**30
        spared = 1.5 if weights.quantization else 1.15  # embeddings stay as they were
        assert expected * 0.9 <= weights.gib <= expected * spared
    for server in preset.inference.servers.values():
        assert server.params.get("model", weights.repository) == weights.repository


@pytest.mark.parametrize("cloud", ["azure", "aws", "arc"])
def test_what_is_said_of_a_machine_hangs_together(cloud):
    skus = catalog.load(CatalogueSettings(cloud=cloud)).skus
    assert len(list(skus)) >= 10
    for sku in skus:
        assert (sku.gpus > 0) == (sku.gpu_memory_gib > 0), sku.name
        if sku.retired:
            other = skus.get(sku.retired.replacement)
            assert other and not other.retired, sku.name


def test_each_cloud_has_machines_of_its_own():
    aws = catalog.load(CatalogueSettings(cloud="aws")).skus
    assert aws.get("g5.4xlarge") and not aws.get("Standard_NC6s_v3")
    assert SHIPPED.skus.get("Standard_NC6s_v3") and not SHIPPED.skus.get("g5.4xlarge")


def test_a_model_of_hugging_face_needs_no_entry():
    found = SHIPPED.presets.get("Some-Team/Model-7B.v1")
    assert (found.name, found.known, found.image) == (
        "Some-Team/Model-7B.v1",
        False,
        "mcr.microsoft.com/aks/kaito/kaito-base:0.5.0",
    )
    for name in ("Some-Team/", "/x", "a/b/c", "a b/c", "-x/y", ""):
        assert SHIPPED.presets.get(name) is None


def test_presets_of_ones_own_stand_beside_the_shipped(tmp_path):
    mine = """name: house-model
weights: {repository: house/model, gib: 3}
diskGib: 20
inference:
  readinessSeconds: 600
  servers: {vllm: {launch: [python3], program: serve.py}}
"""
    (tmp_path / "mine.yaml").write_text(mine)
    settings = CatalogueSettings(folder=tmp_path)
    assert catalog.load(settings).presets.get("House-Model").weights.gib == 3
    (tmp_path / "mine.yaml").write_text(mine.replace("house-model", "phi-4"))
    with pytest.raises(InvalidSpec, match="phi-4 is in the catalogue twice"):
        catalog.load(settings)
    with pytest.raises(InvalidSpec, match=r"catalogue\.folder .*nowhere.*no such folder"):
        catalog.load(CatalogueSettings(folder=tmp_path / "nowhere"))


ERAS = {
    None: ("transformers", "vllm", "vllm"),
    "v0.3": ("transformers", "transformers", "vllm"),
    "v0.4": ("vllm", "vllm", "vllm"),
    "head": ("vllm", "vllm", "vllm"),
}


@pytest.mark.parametrize(("compat", "defaults"), ERAS.items(), ids=map(str, ERAS))
def test_the_default_runtime_is_that_of_the_kaito_that_is_asked_for(compat, defaults):
    presets = catalog.load(CatalogueSettings(compat=compat)).presets
    found = (
        presets.get(n).inference.runtimes[0] for n in ("phi-3-mini-4k-instruct", "phi-4", "qwen3-8b-awq")
    )
    assert tuple(found) == defaults


def price(costs, name="Standard_NC24ads_A100_v4"):
    return catalog.load(costs=costs).skus.get(name).price.dollars_per_hour


def test_prices_are_those_that_this_user_pays(tmp_path):
    own = tmp_path / "prices.json"
    own.write_text('{"date": "2026-11-01", "regions": {"here": {"standard_nc24ads_a100_v4": 1.25}}}')
    assert price(PriceSettings()) == 3.673
    assert price(PriceSettings(region="australiaeast")) == 5.326
    assert price(PriceSettings(file=own, region="here")) == 1.25
    assert price(PriceSettings(discount={"StandardNCADSA100v4Family": 0.5})) == 1.8365
    both = {"StandardNCADSA100v4Family": 0.5, "Standard_NC24ads_A100_v4": 1.0}
    assert price(PriceSettings(discount=both)) == 0, "a machine's own discount counts"


PRICE_MISTAKES = {
    "no such file": (None, r"prices\.file .*: no such file"),
    "no JSON": ("{", r"it is no JSON"),
    "no number": ('{"date": "2026-11-01", "regions": {"here": {"a": "x"}}}', r"regions\.here\.a: .*number"),
    "a negative price": ('{"date": "2026-11-01", "regions": {"here": {"a": -1}}}', r"here\.a: .*greater"),
    "no such region": ('{"date": "2026-11-01", "regions": {"there": {}}}', r"knows there"),
}


@pytest.mark.parametrize(("text", "said"), PRICE_MISTAKES.values(), ids=PRICE_MISTAKES.keys())
def test_a_list_of_prices_that_cannot_be_used_is_refused(tmp_path, text, said):
    own = tmp_path / "prices.json"
    if text is not None:
        own.write_text(text)
    with pytest.raises(InvalidSpec, match=said):
        catalog.load(costs=PriceSettings(file=own, region="here"))


def test_names_are_found_in_any_case_and_by_alias():
    catalogues = catalog.load()
    assert catalogues.skus.get("STANDARD_nc6S_V3") is catalogues.skus.get("Standard_NC6s_v3")
    assert catalogues.presets.get("microsoft/phi-3-mini-4K-instruct").name == "phi-3-mini-4k-instruct"
    assert catalogues.presets.suggest("phi3-mini-4k-instruct") == "phi-3-mini-4k-instruct"
    assert catalogues.presets.suggest("xyz") == ""


SKU = "name: A\ngpus: 1\ngpuMemoryGib: 1\nvcpus: 1\n"
MISTAKES = {
    "a misspelt field": (SKU + "gpu: 2\n", r"azure\.yaml:5: gpu '2': unknown field; did you mean gpus"),
    "a key given twice": (SKU + "gpus: 2\n", r"azure\.yaml:5: the key 'gpus' is given twice"),
    "no YAML": ("name: [\n", r"azure\.yaml:1: the file is not valid YAML"),
    "one name twice": (SKU + "---\n" + SKU.replace("A", "a"), "a is in the catalogue twice"),
}


@pytest.mark.parametrize(("text", "said"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named_with_its_place(tmp_path, text, said):
    for folder in ("catalog", "skus"):
        (tmp_path / folder).mkdir()
    (tmp_path / "skus/azure.yaml").write_text(text)
    with pytest.raises(InvalidSpec, match=said):
        catalog.load(root=tmp_path)


def test_models_that_kaitos_base_image_serves_need_what_its_estimator_asks():
    """But gpt-oss, whose 4-bit weights the estimator counts twice."""
    served = [p for p in catalog.load().presets if p.repository == BASE_IMAGE[0] and "gpt-oss" not in p.name]
    asked = {p.name: p.inference.needs.total_gib for p in served}
    assert len(served) > 30
    assert asked == pytest.approx({p.name: least_gib(p.weights.gib) for p in served}, abs=0.11)
