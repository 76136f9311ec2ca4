"""What `vllm serve` is told, by settings, adapters and the user's `inference_config.yaml`."""

import json

import pytest
from artifacts.errors import RuntimeFailure
from inference_server import vllm_adapters, vllm_arguments, vllm_options
from inference_server.settings import Settings


def settings(**said):
    return Settings.model_validate({"preset": "phi-4", "base": {"repository": "microsoft/phi-4"}, **said})


def adapter(folder, name="a", strength=1.0, **config):
    path = folder / name
    path.mkdir()
    (path / "adapter_config.json").write_text(json.dumps({"r": 16, "lora_alpha": 32, **config}))
    (path / "adapter_model.safetensors").write_bytes(b"weights")
    return {"name": name, "strength": strength, "path": str(path)}


def told(tmp_path, text="", **said):
    """All of the command line but the two that are always there."""
    (tmp_path / "inference_config.yaml").write_text(text)
    options = vllm_options.read(tmp_path / "inference_config.yaml")
    one = settings(**said)
    modules = vllm_adapters.prepare(one.adapters, tmp_path / "work")
    line = vllm_arguments.arguments(one, modules, options, 1234)
    assert line[1:3] == ["--host=127.0.0.1", "--port=1234"]
    return line[:1] + line[3:]


PLAIN = ["microsoft/phi-4", "--served-model-name=phi-4", "--dtype=auto"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, PLAIN),
        ({"gpus": 4}, [*PLAIN, "--tensor-parallel-size=4"]),
        ({"maxModelLen": 4096}, [*PLAIN, "--max-model-len=4096"]),
        ({"quantization": "nf4"}, [*PLAIN, "--quantization=bitsandbytes"]),
        ({"base": {"repository": "microsoft/phi-4", "revision": "abc"}}, [*PLAIN, "--revision=abc"]),
        (
            {"base": {"repository": "microsoft/phi-4", "revision": "abc", "path": "/weights"}},
            ["/weights", *PLAIN[1:]],
        ),
    ],
)
def test_settings_become_options(tmp_path, said, expected):
    assert told(tmp_path, **said) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("enable-prefix-caching: true", ["--enable-prefix-caching"]),
        ("enable_chunked_prefill: false", ["--no-enable-chunked-prefill"]),
        ("gpu-memory-utilization: 0.9", ["--gpu-memory-utilization=0.9"]),
        ("swap-space: 4", ["--swap-space=4"]),
        ("kv_cache_dtype: fp8", ["--kv-cache-dtype=fp8"]),
        ("chat-template: '--host=0.0.0.0'", ["--chat-template=--host=0.0.0.0"]),
        ("cudagraph-capture-sizes: [1, 2, 8]", ["--cudagraph-capture-sizes", "1", "2", "8"]),
        (
            "hf-overrides:\n    rope: {type: yarn, truncate: false}",
            ['--hf-overrides={"rope": {"type": "yarn", "truncate": false}}'],
        ),
        ("compilation-config.level: 3", ["--compilation-config.level=3"]),
    ],
)
def test_values_keep_their_type(tmp_path, text, expected):
    assert told(tmp_path, f"vllm:\n  {text}\n") == [*PLAIN, *expected]


@pytest.mark.parametrize(
    ("text", "said", "expected"),
    [
        ("dtype: float16", {}, ["microsoft/phi-4", "--served-model-name=phi-4", "--dtype=float16"]),
        ("tensor_parallel_size: 2", {"gpus": 4}, [*PLAIN, "--tensor-parallel-size=2"]),
        ("max-model-len: 100", {"maxModelLen": 4096}, [*PLAIN, "--max-model-len=100"]),
    ],
)
def test_the_user_s_options_win(tmp_path, text, said, expected):
    assert told(tmp_path, f"vllm:\n  {text}\n", **said) == expected


@pytest.mark.parametrize("text", ["", "vllm:\n", "vllm: {}\n", "max_probe_steps: 6\n"])
def test_a_file_without_options_changes_nothing(tmp_path, text):
    assert told(tmp_path, text) == PLAIN


def test_a_missing_file_changes_nothing(tmp_path):
    assert vllm_options.read(tmp_path / "absent.yaml") == {}


@pytest.mark.parametrize(
    ("text", "line", "rule", "remedy"),
    [
        ("vllm:\n  port: 1", 2, "port may not be set", "loopback"),
        (
            "vllm:\n  dtype: auto\n  lora_modules: [a=b]",
            3,
            "lora-modules may not be set",
            "inference.adapters",
        ),
        ("vllm:\n  --model: x", 2, "model may not be set", "the workspace decides it"),
        ("vllm:\n  mod: x", 2, "mod may not be set", "the workspace decides it"),
        ("vllm:\n  no-enable-lora: true", 2, "no-enable-lora may not be set", "adapters"),
        ("vllm:\n  ssl-keyfile: x", 2, "ssl-keyfile may not be set", "loopback"),
        ("vllm:\n  swap-space: 1\n  swap_space: 2", 3, "stands on line 2 already", "keep one"),
        ("vllm:\n  dtype:", 2, "dtype has no value", "remove the line"),
        ("vllm:\n  a: [x, --host]", 2, "reads as an option", "a line of its own"),
        ("vllm:\n  a: 2020-01-01", 2, "a is a date", "quotes"),
        ("vllm:\n  a: {b: 2020-01-01}", 2, "JSON cannot say", "quotes"),
        ("vllm:\n  'a b': 1", 2, "is no option", "vLLM's manual"),
        ("vllm: [1]", 1, "must be a mapping", "one option on each line"),
        ("x: 1\nvllm: {}", 1, "unknown key x", "remove it"),
        ("vlm: {}", 1, "unknown key vlm", "did you mean vllm?"),
        ("- 1", 1, "no mapping", "vllm:"),
        ("vllm:\n  a: [1", 2, "not YAML", "mend the line"),
        ("vllm:\n  a: !!python/object:os.system x", 2, "not YAML", "mend the line"),
        ("vllm:\n  a: &b [1]\n  c: *b", 3, "aliases", "write the value out"),
        ("vllm:\n  a: " + "[" * 20_000 + "]" * 20_000, 2, "more than 20 deep", "shallower"),
        ("vllm:\n  a: 2020-13-45", 1, "not readable: month", "plain values"),
        ("#" * (256 * 1024 + 1), 1, "262145 bytes", "at most 262144"),
    ],
)
def test_what_cannot_work_is_refused_with_its_line(tmp_path, text, line, rule, remedy):
    with pytest.raises(RuntimeFailure) as refused:
        told(tmp_path, text)
    failure = refused.value
    assert (failure.error_class, failure.retry) == ("BadConfig", False)
    assert failure.message.startswith(f"inference_config.yaml, line {line}: ")
    assert rule in failure.message
    assert remedy in failure.remedy


def test_adapters_are_modules_by_name_at_the_rank_that_fits_all(tmp_path):
    adapters = [adapter(tmp_path, "a", r=8), adapter(tmp_path, "b", r=16, rank_pattern={"q_proj": 24})]
    assert told(tmp_path, adapters=adapters)[len(PLAIN) :] == [
        "--enable-lora",
        "--max-loras=2",
        "--max-lora-rank=32",
        "--lora-modules",
        f"a={tmp_path}/a",
        f"b={tmp_path}/b",
    ]


def test_strength_scales_alpha_in_a_copy(tmp_path):
    given = adapter(tmp_path, strength=0.25, alpha_pattern={"q_proj": 8}, target_modules=["q_proj"])
    last = told(tmp_path, adapters=[given])[-1]
    copy = tmp_path / "work" / "a"
    assert last == f"a={copy}"
    scaled = json.loads((copy / "adapter_config.json").read_text())
    assert (scaled["lora_alpha"], scaled["alpha_pattern"]) == (8, {"q_proj": 2})
    assert scaled["target_modules"] == ["q_proj"]
    assert (copy / "adapter_model.safetensors").read_bytes() == b"weights"
    assert json.loads((tmp_path / "a" / "adapter_config.json").read_text())["lora_alpha"] == 32


@pytest.mark.parametrize(
    ("config", "error_class", "rule"),
    [
        ({"use_dora": True}, "BadData", "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "BadData", "whole modules"),
        ({"bias": "all"}, "BadData", "biases"),
        ({"r": 1024}, "BadData", "rank 1024"),
        ({"r": "many"}, "BadData", "no LoRA's"),
        ({"lora_alpha": None}, "BadData", "no LoRA's"),
    ],
)
def test_adapters_that_vllm_cannot_serve_are_refused(tmp_path, config, error_class, rule):
    with pytest.raises(RuntimeFailure, match=rule) as refused:
        told(tmp_path, adapters=[adapter(tmp_path, **config)])
    assert (refused.value.error_class, refused.value.retry) == (error_class, False)


@pytest.mark.parametrize("content", [None, b"{", b"[]"])
def test_a_folder_that_holds_no_adapter_is_refused(tmp_path, content):
    given = adapter(tmp_path)
    file = tmp_path / "a" / "adapter_config.json"
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(RuntimeFailure, match=r"adapter a: .*adapter_config\.json"):
        told(tmp_path, adapters=[given])


def test_names_that_clash_are_refused(tmp_path):
    given = adapter(tmp_path)
    with pytest.raises(RuntimeFailure, match="two adapters are named a"):
        told(tmp_path, adapters=[given, given])
    for taken in ({"served-model-name": "a"}, {"served-model-name": ["x", "a"]}):
        with pytest.raises(RuntimeFailure, match="adapter a is named as the model"):
            vllm_arguments.served_name(settings(adapters=[given]), taken)


def test_int8_is_refused(tmp_path):
    with pytest.raises(RuntimeFailure, match="cannot load weights as int8"):
        told(tmp_path, quantization="int8")
