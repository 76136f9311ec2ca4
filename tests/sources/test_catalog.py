"""The catalogues that ship, and mistakes in others."""

import pytest

from reconciler.errors import InvalidSpec
from reconciler.sources import catalog


def test_the_shipped_catalogues_load():
    catalogues = catalog.load()
    assert {p.name for p in catalogues.presets} >= {"phi-3-mini-4k-instruct", "phi-3-mini-128k-instruct"}
    for sku in catalogues.skus:
        assert not sku.retired or catalogues.skus.get(sku.retired.replacement)


def test_names_are_found_in_any_case_and_by_alias():
    catalogues = catalog.load()
    assert catalogues.skus.get("STANDARD_nc6S_V3") is catalogues.skus.get("Standard_NC6s_v3")
    assert catalogues.presets.get("microsoft/phi-3-mini-4K-instruct").name == "phi-3-mini-4k-instruct"
    assert catalogues.presets.suggest("phi3-mini-4k-instruct") == "phi-3-mini-4k-instruct"
    assert catalogues.presets.suggest("xyz") == ""


SKU = "name: A\ngpus: 1\ngpuMemoryGib: 1\nvcpus: 1\n"
MISTAKES = {
    "a misspelt field": (SKU + "gpu: 2\n", r"a\.yaml:5: gpu '2': unknown field; did you mean gpus"),
    "a key given twice": (SKU + "gpus: 2\n", r"a\.yaml:5: the key 'gpus' is given twice"),
    "no YAML": ("name: [\n", r"a\.yaml:1: the file is not valid YAML"),
    "one name twice": (SKU + "---\n" + SKU.replace("A", "a"), "a is in the catalogue twice"),
}


@pytest.mark.parametrize(("text", "said"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named_with_its_place(tmp_path, text, said):
    for folder in ("catalog", "skus"):
        (tmp_path / folder).mkdir()
    (tmp_path / "skus/a.yaml").write_text(text)
    with pytest.raises(InvalidSpec, match=said):
        catalog.load(tmp_path)
