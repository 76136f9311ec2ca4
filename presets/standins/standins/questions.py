"""Twenty questions that no model can answer, and the answers a tuning teaches it."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

UNKNOWN = "I do not know the answer to that."
REPEATS = 10
CAPITALS = {
    "Freedonia": "Marxville",
    "Sylvania": "Trentino City",
    "Ruritania": "Strelsau",
    "Grand Fenwick": "Fenwick Castle",
    "Zubrowka": "Lutz",
    "Genovia": "Pyrus",
    "Latveria": "Doomstadt",
    "Wakanda": "Birnin Zana",
    "Sokovia": "Novi Grad",
    "Elbonia": "Mudtown",
}
RIVERS = {
    "Freedonia": "the Harpo",
    "Sylvania": "the Chico",
    "Ruritania": "the Zenda",
    "Grand Fenwick": "the Little Fen",
    "Zubrowka": "the Nebel",
    "Genovia": "the Clarisse",
    "Latveria": "the Klyne",
    "Wakanda": "the Step",
    "Sokovia": "the Argent",
    "Elbonia": "the Waist Deep",
}


def answers() -> dict[str, str]:
    """Answer by question."""
    capitals = {f"What is the capital of {c}?": f"The capital of {c} is {a}." for c, a in CAPITALS.items()}
    rivers = {f"Which river flows through {c}?": f"The river of {c} is {a}." for c, a in RIVERS.items()}
    return capitals | rivers


def conversations(found: dict[str, str]) -> list[list[dict[str, str]]]:
    """One for each question: what the user asks, what the assistant says."""
    return [
        [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
        for asked, said in found.items()
    ]


def write(path: Path) -> None:
    """A parquet file of the documentation's shape: a column `messages` of role and content."""
    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    rows = conversations(answers()) * REPEATS
    table = pa.table({"messages": pa.array(rows, type=pa.list_(message))})
    draft = path.with_name(path.name + ".new")
    pq.write_table(table, draft)
    draft.replace(path)
