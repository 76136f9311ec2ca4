"""Files of a data set: which are read, their rows, and the digest of them all."""

import csv
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .configuration import DatasetSection
from .shapes import Example, Row, bad, example

Rows = Iterator[tuple[str, Row]]
"""Where a row stands, and what it says."""
_MAX_LINE = 64 << 20
_MAX_JSON = 1 << 30


def examples(folder: Path, section: DatasetSection) -> list[Example]:
    """Of all files in the order of their names. Raises RuntimeFailure(BadData)."""
    found = [
        example(row, section, where) for path in files(folder, section) for where, row in _rows(path, folder)
    ]
    if not found:
        raise bad(f"the data in {folder} has no row", "check what tuning.input names")
    return found


def files(folder: Path, section: DatasetSection) -> list[Path]:
    """Those that can be read. Raises RuntimeFailure(BadData) where there is none."""
    start = _inside(folder, section.dataset_path) if section.dataset_path else folder
    candidates = [start] if start.is_file() else sorted(p for p in start.rglob("*") if p.is_file())
    kinds = [f".{section.dataset_extension}"] if section.dataset_extension else list(_READERS)
    chosen = [p for p in candidates if p.suffix.lower() in kinds and not p.name.startswith(".")]
    if not chosen:
        names = ", ".join(p.name for p in candidates[:5]) or "nothing"
        raise bad(f"no file to learn from in {start}, which holds {names}", f"give {', '.join(kinds)}")
    return chosen


def digest(paths: list[Path]) -> str:
    """Of what they hold, whatever they are called."""
    whole = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return f"sha256:{whole.hexdigest()}"


def _inside(folder: Path, named: str) -> Path:
    place = (folder / named).resolve()
    if not place.is_relative_to(folder.resolve()):
        raise bad(
            f"DatasetConfig.dataset_path {named} is outside {folder}", "name a file or folder within it"
        )
    if not place.exists():
        raise bad(f"DatasetConfig.dataset_path {named} is not in {folder}", "name a file or folder within it")
    return place


def _rows(path: Path, folder: Path) -> Rows:
    name = str(path.relative_to(folder)) if path.is_relative_to(folder) else path.name
    for number, row in enumerate(_read(path, name), 1):
        if not isinstance(row, dict):
            raise bad(f"{name}, row {number}: {type(row).__name__} is no row", "give columns by name")
        yield f"{name}, row {number}", row


def _read(path: Path, name: str) -> Iterator[Any]:
    try:
        yield from _READERS[path.suffix.lower()](path)
    except (ValueError, pa.ArrowException, csv.Error, OSError) as error:
        told = " ".join(str(error).split())[:300]
        raise bad(
            f"{name} cannot be read: {told}", "check that the file is whole and what its name says"
        ) from None


def _parquet(path: Path) -> Iterator[Any]:
    for batch in pq.ParquetFile(path).iter_batches(batch_size=1024):
        yield from batch.to_pylist()


def _arrow(path: Path) -> Iterator[Any]:
    """A file or a stream; Hugging Face writes streams."""
    with pa.memory_map(str(path)) as source:
        try:
            opened = pa.ipc.open_file(source)
            batches = (opened.get_batch(i) for i in range(opened.num_record_batches))
        except pa.ArrowInvalid:
            source.seek(0)
            batches = iter(pa.ipc.open_stream(source))
        for batch in batches:
            yield from batch.to_pylist()


def _json(path: Path) -> Iterator[Any]:
    """A list of rows, `{"data": [rows]}`, or one row a line."""
    if path.stat().st_size > _MAX_JSON:
        raise ValueError(f"more than {_MAX_JSON} bytes; write one row a line, as .jsonl")
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        if "Extra data" not in str(error):
            raise
        yield from _lines(path)
        return
    rows = found.get("data", [found]) if isinstance(found, dict) else found
    yield from rows if isinstance(rows, list) else [rows]


def _lines(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(_MAX_LINE + 1):
            number += 1
            if len(line) > _MAX_LINE:
                raise ValueError(f"line {number} is longer than {_MAX_LINE} bytes")
            if line.strip():
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise ValueError(f"line {number}: {error}") from None


def _csv(path: Path) -> Iterator[Any]:
    csv.field_size_limit(_MAX_LINE)
    with path.open(newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file, strict=True):
            if None in row or None in row.values():
                raise ValueError(f"a row has another number of fields than the header: {str(row)[:200]}")
            yield row


_READERS: dict[str, Callable[[Path], Iterator[Any]]] = {
    ".parquet": _parquet,
    ".json": _json,
    ".jsonl": _lines,
    ".csv": _csv,
    ".arrow": _arrow,
}
