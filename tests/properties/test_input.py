"""Whatever somebody pushes: no crash, no hang, and what is accepted means the same when it is read again."""

import copy
import time
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from manifests import ADAPTER, INFERENCE, TUNING

from reconciler.cli import offline
from reconciler.model.declared import Declarations, ParsedFile
from reconciler.model.workspace import Workspace
from reconciler.planning.resolve import resolve
from reconciler.sources import specs

CONTEXT = offline.context(None)
SEEDS = [yaml.safe_load(text) for text in (INFERENCE, ADAPTER, TUNING)]
EXAMPLES = 150
SECONDS = 5.0
"""Far more than any small file may take on a slow machine."""

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.sampled_from(["", "1.0", "nan", "-1", "a/b", "<YOUR_IMAGE>", "x" * 300, "2026-01-01", "\x7f", "Ä"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def judged(content: bytes) -> ParsedFile:
    began = time.monotonic()
    parsed = specs.parse("file.yaml", content, "ai")
    resolve(Declarations("r", {"file.yaml": parsed}, {}, {}), CONTEXT)
    assert time.monotonic() - began < SECONDS
    for problem in parsed.problems:
        assert problem.rule and problem.remedy
        assert 0 <= problem.line <= len(content.splitlines()) + 1
        assert len(str(problem)) < 2000
    return parsed


def assert_means_itself(parsed: ParsedFile) -> None:
    for declared in parsed.declarations:
        again = specs.parse("file.yaml", yaml.safe_dump(declared.workspace.raw).encode(), None)
        (twin,) = again.declarations
        assert twin.workspace == declared.workspace
        assert isinstance(twin.workspace, Workspace)


@given(st.binary(max_size=400))
@settings(max_examples=EXAMPLES)
def test_any_bytes(content):
    assert_means_itself(judged(content))


@given(st.text(alphabet="ab:-#&*!|>{}[]\"'?,% \n\t01.~<", max_size=200))
@settings(max_examples=EXAMPLES)
def test_any_punctuation(text):
    assert_means_itself(judged(text.encode()))


def places(found: Any, at: tuple = ()) -> list[tuple]:
    inner = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    return [at, *(place for key, value in inner for place in places(value, (*at, key)))]


@st.composite
def mutants(draw) -> Any:
    """A seed with up to three places replaced, removed, doubled or renamed."""
    found = copy.deepcopy(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 3))):
        *parents, last = draw(st.sampled_from(places(found)[1:]))
        part = found
        for key in parents:
            part = part[key]
        match draw(st.sampled_from(["replace", "remove", "double", "rename"])):
            case "replace":
                part[last] = draw(values)
            case "remove":
                del part[last]
            case "double" if isinstance(part, list):
                part.append(copy.deepcopy(part[last]))
            case "rename" if isinstance(part, dict):
                part[draw(st.text(max_size=12))] = part.pop(last)
    return found


@given(mutants())
@settings(max_examples=EXAMPLES * 2)
def test_a_manifest_that_somebody_spoilt(found):
    text = yaml.safe_dump(found, allow_unicode=True)
    assert_means_itself(judged(text.encode(errors="surrogatepass")))


@given(st.sampled_from(SEEDS), st.data())
@settings(max_examples=EXAMPLES)
def test_any_value_in_any_field(seed, data):
    found = copy.deepcopy(seed)
    *parents, last = data.draw(st.sampled_from(places(found)[1:]))
    part = found
    for key in parents:
        part = part[key]
    part[last] = data.draw(values)
    parsed = judged(yaml.safe_dump(found).encode())
    assert_means_itself(parsed)
    assert parsed.declarations or parsed.problems or parsed.ignored
