"""Which rows are understood, what of them is learnt, and how a bad one is refused."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from artifacts import RuntimeFailure
from transformers import AutoTokenizer
from tuner.configuration import DatasetSection
from tuner.data import digest, examples, files
from tuner.shapes import Chat, Completion, example
from tuner.tokens import IGNORED, Encoder

USER, ASSISTANT = {"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}
ROWS = {
    "chat": ({"messages": [USER, ASSISTANT]}, {}, Chat((USER, ASSISTANT))),
    "chat in a named column": (
        {"talk": [USER, ASSISTANT]},
        {"messages_column": "talk"},
        Chat((USER, ASSISTANT)),
    ),
    "prompt": ({"prompt": "Why?", "completion": "So."}, {}, Completion("Why?", "So.")),
    "prompt as messages": ({"prompt": [USER], "completion": [ASSISTANT]}, {}, Chat((USER, ASSISTANT))),
    "instruction": ({"instruction": "Why?", "output": "So."}, {}, Chat((USER, ASSISTANT))),
    "instruction with response": ({"instruction": "Why?", "response": "So."}, {}, Chat((USER, ASSISTANT))),
    "instruction with input": (
        {"instruction": "Why?", "input": "Rain.", "output": "So."},
        {},
        Chat(({"role": "user", "content": "Why?\n\nRain."}, ASSISTANT)),
    ),
    "named columns": (
        {"q": "Why?", "a": "So."},
        {"context_column": "q", "response_column": "a"},
        Completion("Why?", "So."),
    ),
    "text": ({"text": "So."}, {}, Completion("", "So.")),
}
BAD = {
    "no known column": ({"x": 1}, {}, "the columns are x"),
    "no messages": ({"messages": []}, {}, "a list of messages is needed"),
    "unknown role": (
        {"messages": [{"role": "bot", "content": "x"}]},
        {},
        r"messages\[0\]: the role is 'bot'",
    ),
    "no content": ({"messages": [{"role": "user"}]}, {}, "the content is no text"),
    "nobody answers": ({"messages": [USER]}, {}, "no message is the assistant's"),
    "empty answer": ({"prompt": "Why?", "completion": " "}, {}, "completion: it is empty"),
    "a number": ({"prompt": 3, "completion": "So."}, {}, "prompt: int is no text"),
    "a named column that is not there": ({"text": "x"}, {"messages_column": "talk"}, "no column talk"),
}


@pytest.mark.parametrize(("row", "section", "wanted"), ROWS.values(), ids=ROWS)
def test_shapes(row, section, wanted):
    assert example(row, DatasetSection(**section), "a.jsonl, row 1") == wanted


@pytest.mark.parametrize(("row", "section", "told"), BAD.values(), ids=BAD)
def test_bad_rows(row, section, told):
    with pytest.raises(RuntimeFailure, match=told) as caught:
        example(row, DatasetSection(**section), "a.jsonl, row 7")
    assert (caught.value.error_class, caught.value.retry) == ("BadData", False)
    assert caught.value.message.startswith("a.jsonl, row 7")


TABLE = [{"prompt": "Why?", "completion": "So."}, {"prompt": "How?", "completion": "Thus."}]
WANTED = [Completion("Why?", "So."), Completion("How?", "Thus.")]


def write(path, rows=TABLE):
    match path.suffix:
        case ".parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        case ".arrow":
            table = pa.Table.from_pylist(rows)
            kind = pa.ipc.new_stream if path.stem == "stream" else pa.ipc.new_file
            with kind(str(path), table.schema) as out:
                out.write_table(table)
        case ".csv":
            with path.open("w", newline="") as file:
                out = csv.DictWriter(file, rows[0].keys())
                out.writeheader()
                out.writerows(rows)
        case ".json":
            path.write_text(json.dumps({"data": rows} if path.stem == "wrapped" else rows))
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))


NAMES = ["a.parquet", "a.arrow", "stream.arrow", "a.csv", "a.json", "wrapped.json", "a.jsonl"]


@pytest.mark.parametrize("name", NAMES)
def test_files(tmp_path, name):
    write(tmp_path / name)
    assert examples(tmp_path, DatasetSection()) == WANTED


def test_a_json_file_may_have_a_row_on_each_line(tmp_path):
    (tmp_path / "a.json").write_text("".join(json.dumps(row) + "\n" for row in TABLE))
    assert examples(tmp_path, DatasetSection()) == WANTED


def test_several_files_are_read_in_the_order_of_their_names(tmp_path):
    write(tmp_path / "b.jsonl", TABLE[1:])
    write(tmp_path / "a.parquet", TABLE[:1])
    (tmp_path / "notes.txt").write_text("not data")
    assert examples(tmp_path, DatasetSection()) == WANTED
    assert examples(tmp_path, DatasetSection(dataset_extension="jsonl")) == WANTED[1:]
    assert examples(tmp_path, DatasetSection(dataset_path="a.parquet")) == WANTED[:1]


def test_the_digest_is_of_the_content(tmp_path):
    write(tmp_path / "a.jsonl")
    before = digest(files(tmp_path, DatasetSection()))
    (tmp_path / "a.jsonl").rename(tmp_path / "b.jsonl")
    assert digest(files(tmp_path, DatasetSection())) == before
    write(tmp_path / "b.jsonl", TABLE[:1])
    assert digest(files(tmp_path, DatasetSection())) != before


BROKEN = {
    "a.parquet": (b"PAR1", "a.parquet cannot be read"),
    "a.arrow": (b"ARROW1", "a.arrow cannot be read"),
    "a.json": (b"[{", "a.json cannot be read"),
    "a.jsonl": (b'{"text": "x"}\n{"text', "line 2"),
    "a.csv": (b"prompt,completion\nx\n", "another number of fields"),
    "b.jsonl": (b'"x"\n', "row 1: str is no row"),
    "c.jsonl": (b"", "has no row"),
    "a.txt": (b"x", "no file to learn from"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files(tmp_path, name):
    content, told = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RuntimeFailure, match=told) as caught:
        examples(tmp_path, DatasetSection())
    assert caught.value.error_class == "BadData"


@pytest.mark.parametrize("path", ["../secret.jsonl", "/etc/passwd", "missing.jsonl"])
def test_no_file_outside_the_data_is_read(tmp_path, path):
    (tmp_path / "data").mkdir()
    write(tmp_path / "secret.jsonl")
    write(tmp_path / "data" / "a.jsonl")
    with pytest.raises(RuntimeFailure, match="dataset_path"):
        examples(tmp_path / "data", DatasetSection(dataset_path=path))


@pytest.fixture(scope="module")
def tokenizer(tiny):
    return AutoTokenizer.from_pretrained(tiny)


def learnt(tokenizer, found, limit=512):
    (tokens,) = Encoder(tokenizer, limit).encode([found])
    return tokenizer.decode([i for i, label in zip(*tokens.values(), strict=True) if label != IGNORED])


LEARNT = {
    "an answer": (Chat((USER, ASSISTANT)), "So.<|end|>"),
    "each of several": (Chat((USER, ASSISTANT, USER, ASSISTANT)), "So.<|end|>So.<|end|>"),
    "a completion": (Completion("Why? ", "So."), "So.<|end|>"),
    "a text": (Completion("", "So."), "So.<|end|>"),
}


@pytest.mark.parametrize(("found", "wanted"), LEARNT.values(), ids=LEARNT)
def test_only_what_the_assistant_says_is_learnt(tokenizer, found, wanted):
    assert learnt(tokenizer, found) == wanted


def test_a_model_without_a_chat_template_learns_the_last_answer(tokenizer, monkeypatch):
    monkeypatch.setattr(tokenizer, "chat_template", None)
    assert learnt(tokenizer, Chat((USER, ASSISTANT))).endswith("So.<|end|>")
    assert "Why" not in learnt(tokenizer, Chat((USER, ASSISTANT)))


def test_long_rows_lose_their_end_and_rows_without_an_answer_are_left_out(tokenizer):
    long = Completion("", "word " * 100)
    encoder = Encoder(tokenizer, 10)
    rows = encoder.encode([long, Completion("word " * 100, "So.")])
    assert [len(row["input_ids"]) for row in rows] == [10]
    assert (encoder.shortened, encoder.dropped) == (2, 1)
    with pytest.raises(RuntimeFailure, match="no answer begins within the first 10 tokens"):
        Encoder(tokenizer, 10).encode([Completion("word " * 100, "So.")])
