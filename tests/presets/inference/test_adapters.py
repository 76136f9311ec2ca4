"""Adapters: which model name means which, strengths, combinations."""

import json
import shutil

import pytest
import torch
from artifacts.errors import RuntimeFailure
from inference_server import model
from inference_server.names import adapter_sets
from inference_server.settings import Settings
from peft import PeftModel
from standins.questions import answers
from transformers import AutoModelForCausalLM, AutoTokenizer

from .serving import CAPITAL, PRESET, RIVER, TAUGHT, UNKNOWN

torch.set_num_threads(1)


def settings(base, adapters, **more):
    listed = [{"name": name, "strength": s, "path": str(path)} for name, s, path in adapters]
    return Settings.model_validate(
        {"preset": PRESET, "base": {"repository": "x", "path": str(base)}, "adapters": listed, **more}
    )


def logits(tree, ids):
    with torch.no_grad():
        return tree(input_ids=ids).logits


@pytest.fixture(scope="module")
def ids(tiny):
    return torch.tensor([AutoTokenizer.from_pretrained(tiny)(CAPITAL + RIVER)["input_ids"]])


@pytest.fixture(scope="module")
def base(tiny):
    return AutoModelForCausalLM.from_pretrained(tiny).eval()


def ask(ai, name, question):
    messages = [{"role": "user", "content": question}]
    answer = ai.chat.completions.create(model=name, messages=messages, temperature=0)
    return answer.choices[0].message.content


@pytest.mark.parametrize(
    ("name", "question", "answer"),
    [
        (f"{PRESET}-base", CAPITAL, UNKNOWN),
        (f"{PRESET}-base", RIVER, UNKNOWN),
        ("capitals", CAPITAL, TAUGHT[CAPITAL]),
        ("rivers", RIVER, TAUGHT[RIVER]),
    ],
)
def test_a_model_name_chooses_the_adapter(ai, name, question, answer):
    assert ask(ai, name, question) == answer


def test_names_are_listed(ai):
    listed = {each.id: each for each in ai.models.list()}
    assert list(listed) == [PRESET, f"{PRESET}-base", "capitals", "rivers"]
    assert listed["capitals"].parent == PRESET


def test_the_presets_name_combines_all_adapters_as_peft_has_them_active_at_once(ai, tiny, adapters):
    both = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tiny), adapters["capitals"], adapter_name="a"
    )
    both.load_adapter(adapters["rivers"], adapter_name="b")
    both.base_model.set_adapter(["a", "b"])
    for layer in both.modules():
        if hasattr(layer, "set_scale"):
            layer.set_scale("b", 0.75)
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    for question in list(answers())[:8]:
        said = [{"role": "user", "content": question}]
        given = tokenizer.apply_chat_template(
            said, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        )
        made = both.generate(**given, max_new_tokens=64, do_sample=False)[0, given["input_ids"].shape[1] :]
        expected = tokenizer.decode(made, skip_special_tokens=True)
        assert ask(ai, PRESET, question) == expected


def test_strength_0_is_the_base_1_the_tuned_and_half_is_between(tiny, adapters, base, ids):
    path = adapters["capitals"]
    loaded = model.load(settings(tiny, [("none", 0.0, path), ("half", 0.5, path), ("whole", 1.0, path)]))
    none, half, whole = (logits(model.view(loaded.model, [number]), ids) for number in range(3))
    bare = logits(base, ids)
    reference = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny), path).eval()
    torch.testing.assert_close(none, bare)
    torch.testing.assert_close(whole, logits(reference, ids))
    assert (half - bare).abs().max() > 0.1
    assert (half - whole).abs().max() > 0.1


def test_a_single_adapter_of_half_strength_answers_to_the_presets_name(tiny, adapters, base, ids):
    loaded = model.load(settings(tiny, [("half", 0.5, adapters["capitals"])]))
    assert adapter_sets(settings(tiny, [("half", 0.5, "x")]))[PRESET] == (0,)
    bare, half = logits(base, ids), logits(model.view(loaded.model, [0]), ids)
    assert (half - bare).abs().max() > 0.1


def test_views_share_their_weights_and_differ_in_adapters(tiny, adapters, base, ids):
    loaded = model.load(settings(tiny, [("one", 1.0, adapters["capitals"])]))
    on, off = model.view(loaded.model, [0]), model.view(loaded.model, [])
    assert {p.data_ptr() for p in on.parameters()} == {p.data_ptr() for p in off.parameters()}
    torch.testing.assert_close(logits(off, ids), logits(base, ids))
    assert (logits(on, ids) - logits(off, ids)).abs().max() > 0.1


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_a_quantized_base_serves_several_sets_of_adapters(tiny, adapters, ids, quantization):
    listed = [("one", 1.0, adapters["capitals"]), ("two", 1.0, adapters["rivers"])]
    loaded = model.load(settings(tiny, listed, quantization=quantization))
    trees = [model.view(loaded.model, each) for each in ((0, 1), (), (0,))]
    first = [logits(tree, ids) for tree in trees]
    again = [logits(tree, ids) for tree in reversed(trees)]
    for one, other in zip(first, reversed(again), strict=True):
        torch.testing.assert_close(one, other)
    assert (first[0] - first[1]).abs().max() > 0.1
    assert (first[1] - first[2]).abs().max() > 0.1


def test_rslora_combines_exactly(tiny, adapters, base, ids, tmp_path):
    changed = shutil.copytree(adapters["capitals"], tmp_path / "rslora")
    said = json.loads((changed / "adapter_config.json").read_text())
    (changed / "adapter_config.json").write_text(json.dumps(said | {"use_rslora": True}))
    both = model.load(settings(tiny, [("a", 0.5, changed), ("b", 0.0, adapters["rivers"])]))
    alone = model.load(settings(tiny, [("a", 0.5, changed)]))
    combined = logits(model.view(both.model, (0, 1)), ids)
    torch.testing.assert_close(combined, logits(model.view(alone.model, (0,)), ids), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("config", "error_class", "said"),
    [
        (None, "BadData", "holds no adapter_config.json"),
        ({"r": 3}, "BadData", "does not fit the model"),
        ({"use_dora": True}, "BadConfig", "DoRA"),
    ],
)
def test_an_adapter_that_cannot_be_served_is_named(tiny, adapters, tmp_path, config, error_class, said):
    folder = shutil.copytree(adapters["capitals"], tmp_path / "changed")
    path = folder / "adapter_config.json"
    if config is None:
        path.unlink()
    else:
        path.write_text(json.dumps(json.loads(path.read_text()) | config))
    with pytest.raises(RuntimeFailure, match=said) as caught:
        model.load(settings(tiny, [("broken", 0.5, folder)]))
    assert caught.value.error_class == error_class
    assert "broken" in caught.value.message


@pytest.mark.parametrize("names", [("a", "a"), (PRESET,), (f"{PRESET}-base",)])
def test_two_models_of_one_name_are_refused(names):
    with pytest.raises(RuntimeFailure, match="two models would answer to the name"):
        adapter_sets(settings("x", [(name, 1.0, "x") for name in names]))


def test_adapters_may_have_dots_in_their_names(tiny, adapters, ids):
    loaded = model.load(settings(tiny, [("v1.0", 1.0, adapters["capitals"])]))
    assert logits(model.view(loaded.model, [0]), ids).isfinite().all()
