"""YAML within bounds: what is read how, and what is refused."""

import time

import pytest

from reconciler.model.finding import line_of
from reconciler.sources import yaml_loader


def value_of(text: str):
    (document,) = yaml_loader.load(text.encode()).documents
    assert document.faults == []
    return document.value


SCALARS = {
    "on": "on",
    "NO": "NO",
    "yes": "yes",
    "22:30": "22:30",
    "2025-09-30": "2025-09-30",
    "1_000": "1_000",
    "true": True,
    "False": False,
    "~": None,
    "null": None,
    "": None,
    "42": 42,
    "-7": -7,
    "0755": 755,
    "0x1F": 31,
    "0o17": 15,
    "1e3": 1000.0,
    "-.5": -0.5,
    "1.": 1.0,
    "'1'": "1",
    '"true"': "true",
    "!!str 1": "1",
    "!!int 0x10": 16,
    "-": [None],
    "1.2.3": "1.2.3",
    "+": "+",
    "=": "=",
}


@pytest.mark.parametrize("text", SCALARS)
def test_scalars_follow_the_core_schema(text):
    assert value_of(text if text == "-" else f"- {text}") == ([None] if text == "-" else [SCALARS[text]])


def test_keys_are_their_text():
    assert value_of("1: a\ntrue: b\n2025-01-01: c") == {"1": "a", "true": "b", "2025-01-01": "c"}


FAULTS = {
    "an alias": ("a: 1\nb: *x\n", 2, "undefined alias|aliases"),
    "an anchor": ("a: 1\nb: &x 2\n", 2, "anchors"),
    "an anchor on a list": ("a: 1\nb: &x [2]\n", 2, "anchors"),
    "an anchor on a key": ("a: 1\n&x b: 2\n", 2, "anchor"),
    "a merge key": ("a: 1\n<<: {b: 2}\n", 2, "merge keys"),
    "a key given twice": ("a: 1\nb: 2\na: 3\n", 3, "'a' is given twice"),
    "a key given twice in another spelling": ("a: 1\n'a': 3\n", 2, "'a' is given twice"),
    "a mapping as a key": ("a: 1\n{b: 2}: 3\n", 2, "plain word"),
    "a Python tag": ("a: 1\nb: !!python/object:os.system x\n", 2, "tag"),
    "a tag of somebody's own": ("a: 1\nb: !secret x\n", 2, "tag"),
    "a tag on a list": ("a: 1\nb: !!set {x}\n", 2, "tag"),
    "a date tag": ("a: 1\nb: !!timestamp 2025-01-01\n", 2, "tag"),
    "a tag that does not fit": ("a: 1\nb: !!int x\n", 2, "'x' is no int"),
    "an infinite number": ("a: 1\nb: .inf\n", 2, "finite"),
    "a number that overflows": ("a: 1\nb: 1e999\n", 2, "finite"),
    "no number": ("a: 1\nb: .nan\n", 2, "finite"),
    "a number beyond 64 bits": ("a: 1\nb: 9223372036854775808\n", 2, "64 bits"),
    "a very long number": ("a: 1\nb: " + "9" * 5000, 2, "64 bits"),
    "an escaped NUL": ('a: 1\nb: "x\\0"\n', 2, "NUL"),
    "a NUL": ("a: 1\nb: \0\n", 2, "NUL"),
    "a control character": ("a: 1\nb: \x01\n", 2, "control characters"),
    "a tab as indentation": ("a:\n\tb: 1\n", 2, "valid YAML"),
    "an open bracket": ("a: 1\nb: [\n", 2, "valid YAML"),
    "depth": ("a: 1\nb: " + "[" * 100, 2, "64 levels"),
    "depth in blocks": ("- " * 100, 1, "64 levels"),
    "many values": ("[" + "1," * 100_001 + "]", 1, "100000 values"),
    "many documents": ("--- 1\n" * 501, 501, "500 documents"),
    "a huge file": ("#" * (1 << 20) + "#", 1, "1 MiB"),
}


@pytest.mark.parametrize(("text", "line", "rule"), FAULTS.values(), ids=FAULTS.keys())
def test_refused(text, line, rule):
    stream = yaml_loader.load(text.encode())
    faults = [*(f for d in stream.documents for f in d.faults), *filter(None, [stream.fault])]
    assert faults[0].line == line
    assert any(part in faults[0].rule for part in rule.split("|"))
    assert faults[0].remedy


def test_other_encodings_are_refused():
    assert yaml_loader.load(b"a: 1\nb: \xff").fault.line == 2
    assert "UTF-8" in yaml_loader.load("a: 1".encode("utf-16")).fault.rule


def test_an_alias_bomb_is_refused_without_being_built():
    bomb = "a0: &a0 [x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30)
    )
    (document,) = yaml_loader.load(bomb.encode()).documents
    assert document.faults[0].line == 1
    assert document.value["a29"] == [None] * 9


def test_documents_before_a_syntax_error_are_kept():
    stream = yaml_loader.load(b"a: 1\n---\nb: 2\n---\n[")
    assert [d.value for d in stream.documents] == [{"a": 1}, {"b": 2}]
    assert [d.line for d in stream.documents] == [1, 3]
    assert stream.fault.line == 5


def test_lines_are_those_of_the_fields():
    text = b"a: 1\n---\n# c\nb:\n  c: [1,\n    2]\n  d: {e: 5}\n"
    found = yaml_loader.lines(text, 2)[1]
    assert {line_of(path, found) for path in [("b",), ()]} == {4}
    assert line_of(("b", "c", 1), found) == 6
    assert line_of(("b", "d", "e"), found) == 7
    assert line_of(("b", "d", "missing", "deeper"), found) == 7


SLOW = {
    "quoted lines": b'"' + b"a\n" * 500_000,
    "keys": b"".join(b"k%d: 1\n" % i for i in range(49_000)),
    "question marks": b"?\n" * 500_000,
    "open braces": b"{" * 1_000_000,
    "comments": b"#\n" * 500_000,
    "a folded text": b"a: >\n" + b" x\n\n" * 200_000,
    "digits": b"a: " + b"1" * 1_000_000,
    "a flow list over many lines": b"[a, #\n" * 150_000,
}


@pytest.mark.parametrize("content", SLOW.values(), ids=SLOW.keys())
def test_a_hostile_megabyte_is_read_in_bounded_time(content):
    start = time.process_time()
    yaml_loader.load(content)
    assert time.process_time() - start < 3
