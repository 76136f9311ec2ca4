"""Layers of strangers: what is refused, what is passed over, and what whiteouts remove."""

import gzip
import tarfile

import pytest
from artifacts import ArtifactError
from artifacts.layers import Budget, apply_layer

from .images import contents, entry, layer, sha256

UNDER = ("data",)
MEBI = 1 << 20


def apply(folder, *layers, under=UNDER, max_bytes=10 * MEBI):
    """The files that are there after all of them, and nothing outside the root."""
    (folder / "root").mkdir()
    budget = Budget(max_bytes, entries=2_000)
    for content in layers:
        (folder / "packed").write_bytes(content)
        digest = apply_layer(folder / "packed", folder / "root", under, budget)
        assert digest == sha256(gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content)
    assert sorted(path.name for path in folder.iterdir()) == ["packed", "root"]
    return {name: content.decode() for name, content in contents(folder / "root").items()}


def long_header(size):
    """A pax header that claims `size` bytes."""
    info, _ = entry("data/x", kind=tarfile.XHDTYPE, size=size)
    return info.tobuf(tarfile.GNU_FORMAT)


def sparse():
    info, _ = entry("data/x", kind=tarfile.GNUTYPE_SPARSE)
    return info.tobuf(tarfile.GNU_FORMAT)


HOSTILE = {
    "parent": layer(entry("../escaped", b"x")),
    "parent-inside": layer(entry("data/../../escaped", b"x")),
    "parent-that-comes-back": layer(entry("data/a/../b", b"x")),
    "absolute": layer(entry("/data/escaped", b"x")),
    "absolute-elsewhere": layer(entry("/etc/passwd", b"x")),
    "symlink": layer(entry("data/x", kind=tarfile.SYMTYPE, link="adapter_config.json")),
    "symlink-escape": layer(entry("data/x", kind=tarfile.SYMTYPE, link="../../.."), entry("data/x/y", b"x")),
    "symlink-absolute": layer(entry("data/x", kind=tarfile.SYMTYPE, link="/etc/passwd")),
    "symlink-for-the-folder": layer(entry("data", kind=tarfile.SYMTYPE, link="/etc")),
    "hardlink": layer(entry("data/x", b"x"), entry("data/y", kind=tarfile.LNKTYPE, link="data/x")),
    "hardlink-escape": layer(entry("data/x", kind=tarfile.LNKTYPE, link="../../etc/passwd")),
    "character-device": layer(entry("data/null", kind=tarfile.CHRTYPE)),
    "block-device": layer(entry("data/sda", kind=tarfile.BLKTYPE)),
    "fifo": layer(entry("data/pipe", kind=tarfile.FIFOTYPE)),
    "file-for-the-folder": layer(entry("data", b"x")),
    "file-as-folder": layer(entry("data/x", b"x"), entry("data/x/y", b"x")),
    "folder-as-file": layer(entry("data/x/y", b"x"), entry("data/x", b"x")),
    "whiteout-of-parent": layer(entry("data/.wh...", b"")),
    "whiteout-by-parent": layer(entry("data/../.wh.root", b"")),
    "deep": layer(entry("/".join(["data"] * 65), b"x")),
    "long-name": layer(entry("data/" + "x" * 256, b"x")),
    "long-header": long_header(1 << 40),
    "sparse": sparse(),
    "big": layer(entry("data/x", b"\0" * 11 * MEBI)),
    "big-in-sum": layer(*(entry(f"data/{number}", b"\0" * MEBI) for number in range(11))),
    "big-elsewhere": layer(entry("other/x", b"\0" * 11 * MEBI)),
    "bomb": gzip.compress(layer(entry("data/x", b"\0" * 9 * MEBI))),
    "bomb-after-the-end": gzip.compress(layer(entry("data/x", b"x")) + b"\0" * 9 * MEBI),
    "many": gzip.compress(layer(*(entry(f"data/{number}", b"") for number in range(2_001)))),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_layers_are_refused(tmp_path, name):
    with pytest.raises(ArtifactError) as refused:
        apply(tmp_path, HOSTILE[name])
    assert (refused.value.error_class, refused.value.retry) == ("ArtifactUnsafe", False)
    outside = [path for path in tmp_path.rglob("*") if path.name in ("escaped", "passwd")]
    assert outside == []
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))


@pytest.mark.parametrize(
    "content",
    [
        b"no archive" * 100,
        layer(entry("data/x", b"x" * 5000))[:2000],
        gzip.compress(layer(entry("data/x", b"x" * 5000)))[:-50],
        gzip.compress(b"no archive" * 100),
        b"\x1f\x8b" + b"\xff" * 500,
        (lambda whole: whole[:100] + bytes([whole[100] ^ 255]) + whole[101:])(layer(entry("data/x", b"x"))),
    ],
    ids=["text", "truncated", "truncated-gzip", "text-in-gzip", "broken-gzip", "broken-checksum"],
)
def test_damaged_layers_are_refused(tmp_path, content):
    with pytest.raises(ArtifactError) as refused:
        apply(tmp_path, content)
    assert refused.value.error_class == "ArtifactCorrupt"


def test_what_lies_elsewhere_is_passed_over(tmp_path):
    """As in images built upon busybox."""
    mixed = layer(
        entry("bin"),
        entry("bin/sh", kind=tarfile.SYMTYPE, link="/bin/busybox"),
        entry("bin/ls", kind=tarfile.LNKTYPE, link="bin/busybox"),
        entry("dev/null", kind=tarfile.CHRTYPE),
        entry("out", kind=tarfile.SYMTYPE, link="/tmp"),
        entry("out/escaped", b"x"),
        entry("database/x", b"x"),
        entry("./data/", None),
        entry("./data/a", b"1"),
    )
    assert apply(tmp_path, mixed) == {"data/a": "1"}


OLD = layer(
    entry("data"),
    entry("data/a", b"old"),
    entry("data/b", b"old"),
    entry("data/d"),
    entry("data/d/c", b"old"),
)


@pytest.mark.parametrize(
    ("upper", "left"),
    [
        ([entry("data/.wh.a", b"")], {"b", "d/c"}),
        ([entry("data/.wh.d", b"")], {"a", "b"}),
        ([entry("data/d/.wh.c", b"")], {"a", "b"}),
        ([entry("data/.wh.nothing", b"")], {"a", "b", "d/c"}),
        ([entry("data/a/.wh.x", b"")], {"a", "b", "d/c"}),
        ([entry("data/.wh..wh..opq", b"")], set()),
        ([entry("data/d/.wh..wh..opq", b"")], {"a", "b"}),
        ([entry(".wh.data", b"")], set()),
        ([entry(".wh..wh..opq", b"")], set()),
        ([entry(".wh.other", b"")], {"a", "b", "d/c"}),
        ([entry("other/.wh..wh..opq", b"")], {"a", "b", "d/c"}),
        # A layer's whiteouts are for what lies below it, before and after what it brings itself.
        ([entry("data/new", b"new"), entry("data/.wh..wh..opq", b"")], {"new"}),
        ([entry("data/.wh..wh..opq", b""), entry("data/new", b"new")], {"new"}),
        ([entry("data/a", b"new"), entry("data/.wh.a", b"")], {"a", "b", "d/c"}),
        # A file in a folder's place, and the other way.
        ([entry("data/d", b"new")], {"a", "b", "d"}),
        ([entry("data/a/x", b"new")], {"a/x", "b", "d/c"}),
        ([entry("data/d/e", b"new")], {"a", "b", "d/c", "d/e"}),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_upper_layers_change_lower_ones(tmp_path, upper, left, pack):
    found = apply(tmp_path, pack(OLD), pack(layer(*upper)))
    assert set(found) == {f"data/{name}" for name in left}
    for info, content in upper:
        if content and not info.name.rpartition("/")[2].startswith(".wh."):
            assert found[info.name] == "new"


def test_the_whole_image(tmp_path):
    assert apply(tmp_path, layer(entry("a", b"1"), entry("b/c", b"2")), under=()) == {"a": "1", "b/c": "2"}


def test_the_bound_is_for_all_layers_together(tmp_path):
    layers = [layer(entry(f"data/{number}", bytes(4 * MEBI))) for number in range(3)]
    with pytest.raises(ArtifactError, match="unpacks to more than"):
        apply(tmp_path, *layers)


def test_text_that_packs_well_is_no_bomb(tmp_path):
    rows = b"".join(
        b'{"prompt": "question %d", "completion": "answer"}\n' % number for number in range(100_000)
    )
    assert apply(tmp_path, gzip.compress(layer(entry("data/rows.jsonl", rows))))
