"""What reconciler/README.md says a test shows is shown by a test of that name."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROW = re.compile(r"^\| (?P<claim>[^|]+) \| (?P<tests>`test_[^|]+`) \|$", re.MULTILINE)


def defined() -> set[str]:
    files = (ROOT / "tests").rglob("test_*.py")
    return {
        name for file in files for name in re.findall(r"^(?:async )?def (test_\w+)", file.read_text(), re.M)
    }


def test_every_promise_has_its_test():
    rows = list(ROW.finditer((ROOT / "reconciler" / "README.md").read_text()))
    known = defined()
    named = {name for row in rows for name in re.findall(r"`(test_\w+)`", row["tests"])}
    assert len(rows) >= 25
    assert named - known == set()
