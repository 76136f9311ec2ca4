"""`python -m standins tiny|smollm2 FOLDER` and `python -m standins questions FILE.parquet`."""

import argparse
import shutil
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="standins", description="Makes a small model, or rows to tune it on."
    )
    parser.add_argument("what", choices=["tiny", "smollm2", "questions"])
    parser.add_argument("where", type=Path)
    given = parser.parse_args()
    if given.what == "questions":
        from . import questions

        questions.write(given.where)
    else:
        _model(given.what, given.where)


def _model(name: str, folder: Path) -> None:
    """Whole or not at all: what is there already and complete stays."""
    if (folder / "config.json").exists():
        return
    draft = folder.with_name(folder.name + ".new")
    shutil.rmtree(draft, ignore_errors=True)
    if name == "tiny":
        from . import tiny

        tiny.write(draft)
    else:
        from . import smollm2

        smollm2.write(draft)
    draft.replace(folder)


if __name__ == "__main__":
    main()
