"""What the images install: everything but torch, exactly, with hashes, and the same in both."""

import re

import pytest

from .dockerfile import PRESETS

IMAGES = ("tuning", "inference")
EXACT = {
    "transformers": "5.23.0",
    "peft": "0.21.2",
    "accelerate": "1.15.0",
    "bitsandbytes": "0.50.2",
    "safetensors": "0.8.0",
    "pydantic": "2.14.3",
    "prometheus-client": "0.26.0",
}


def locked(image):
    """Hashes by (name, version)."""
    text = (PRESETS / image / "requirements.lock").read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    found = {}
    for line in lines:
        name, version = re.match(r"([a-z0-9-]+)==(\S+)", line).groups()
        found[name] = (version, re.findall(r"--hash=sha256:([0-9a-f]{64})(?:\s|$)", line))
    assert len(found) == len(lines)
    return found


@pytest.mark.parametrize("image", IMAGES)
def test_everything_has_one_version_and_hashes(image):
    assert all(hashes for _, hashes in locked(image).values())


@pytest.mark.parametrize("image", IMAGES)
def test_what_decides_results_is_exact(image):
    assert {name: locked(image)[name][0] for name in EXACT} == EXACT


@pytest.mark.parametrize("image", IMAGES)
def test_torch_and_what_its_cuda_build_needs_stay_out(image):
    assert not [name for name in locked(image) if re.match(r"torch|triton|nvidia|cuda", name)]


@pytest.mark.parametrize("image", IMAGES)
def test_all_that_is_asked_for_is_locked(image):
    lines = (PRESETS / image / "requirements.in").read_text().splitlines()
    asked = {re.match(r"[a-z0-9-]+", line).group() for line in lines if not line.startswith("#")}
    assert asked <= locked(image).keys()


@pytest.mark.parametrize("image", IMAGES)
def test_no_index_is_named(image):
    for name in ("requirements.in", "requirements.lock"):
        assert not re.search(r"://|--(extra-)?index|--find-links", (PRESETS / image / name).read_text())


def test_both_images_share_versions_and_hashes():
    one, other = map(locked, IMAGES)
    shared = one.keys() & other.keys()
    assert len(shared) > 40
    assert {name: one[name] for name in shared} == {name: other[name] for name in shared}
