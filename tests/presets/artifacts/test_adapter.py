"""What peft wrote, made the same for equal content, and what is no adapter."""

import json

import pytest
from artifacts import ArtifactError
from artifacts.image import pack

from .images import adapter


def packed(folder, base_model="base", **annotations):
    return pack(folder, folder / "layer.tar", base_model, annotations)


def test_equal_content_is_an_equal_image(tmp_path):
    one = adapter(
        tmp_path / "a", target_modules=["b", "a"], modules_to_save=["z", "y"], base_model_name_or_path="/x"
    )
    other = adapter(
        tmp_path / "b", modules_to_save=["y", "z"], target_modules=["a", "b"], inference_mode=True
    )
    (other / "adapter_model.safetensors").chmod(0o666)
    assert packed(one).digest == packed(other).digest


@pytest.mark.parametrize(
    "change",
    [{"r": 4}, {"target_modules": "all-linear"}, {"target_modules": ["v_proj"]}, {"seed": 1}],
)
def test_other_content_is_another_image(tmp_path, change):
    one, other = adapter(tmp_path / "a"), adapter(tmp_path / "b", **change)
    assert packed(one).layer.digest != packed(other).layer.digest


def test_provenance_changes_the_manifest_alone(tmp_path):
    folder = adapter(tmp_path / "a")
    one, other = packed(folder), packed(folder, **{"reconciler.dev/metrics": '{"trainLoss": 1.2}'})
    assert one.layer.digest == other.layer.digest
    assert one.config == other.config or one.config.digest == other.config.digest
    assert one.digest != other.digest
    assert json.loads(other.manifest)["annotations"]["reconciler.dev/metrics"] == '{"trainLoss": 1.2}'


def weights(header, data=b""):
    return len(header).to_bytes(8, "little") + header + data


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("adapter_config.json", None, "adapter_config.json is missing"),
        ("adapter_config.json", b"{", "not JSON"),
        ("adapter_config.json", b"[" * 100_000, "not JSON"),
        ("adapter_config.json", b"[]", "a JSON object is needed, not list"),
        ("adapter_config.json", b" " * ((1 << 20) + 1), "more than 1048576 bytes"),
        ("adapter_model.safetensors", None, "adapter_model.safetensors is missing"),
        ("adapter_model.safetensors", b"", "no safetensors file"),
        ("adapter_model.safetensors", b"\xff" * 100, "no safetensors file"),
        ("adapter_model.safetensors", weights(b"{"), "not JSON"),
        ("adapter_model.safetensors", weights(b"{}"), "holds no tensor"),
        ("adapter_model.safetensors", weights(b'{"a": {}}'), "a tensor without data_offsets"),
        (
            "adapter_model.safetensors",
            weights(b'{"a": {"data_offsets": [0, 9]}}', b"12345678"),
            "its header tells of",
        ),
        (
            "adapter_model.safetensors",
            weights(b'{"a": {"data_offsets": [0, 7]}}', b"12345678"),
            "its header tells of",
        ),
    ],
)
def test_what_is_no_adapter(tmp_path, name, content, told):
    folder = adapter(tmp_path / "a")
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=told) as refused:
        packed(folder)
    assert refused.value.error_class == "ArtifactCorrupt"
