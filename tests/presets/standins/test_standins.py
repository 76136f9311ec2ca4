"""The models that stand in: small, the same each time, kept where they are made."""

import pyarrow.parquet as pq
from standins.questions import REPEATS, answers

from ..conftest import standin


def test_the_tiny_model_is_small(tiny):
    assert sum(path.stat().st_size for path in tiny.iterdir()) < 4_000_000


def test_it_is_the_same_each_time(tiny, tmp_path):
    again = standin("tiny", tmp_path / "again")
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (again / name).read_bytes() == (tiny / name).read_bytes()


def test_what_is_there_already_stays(tiny):
    before = {path.name: path.stat().st_mtime_ns for path in tiny.iterdir()}
    standin("tiny", tiny)
    assert {path.name: path.stat().st_mtime_ns for path in tiny.iterdir()} == before


def test_the_rows_are_conversations(questions):
    rows = pq.read_table(questions).to_pylist()
    assert len(rows) == REPEATS * len(answers()) == 200
    asked, said = rows[0]["messages"]
    assert (asked["role"], said["role"]) == ("user", "assistant")
    assert answers()[asked["content"]] == said["content"]
