"""`reconciler validate` over a large repository, beside libyaml alone reading the same files in the same run.

`make bench` runs it. Each is a process of its own, started anew: start-up counts. Medians of RUNS interleaved
runs are printed, never asserted; that all is valid is asserted.
"""

import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

RUNS = int(os.environ.get("RUNS", "5"))
FILES = 10_000
RAW = """
import sys, pathlib, yaml
for path in pathlib.Path(sys.argv[1]).rglob("*.yaml"):
    yaml.load(path.read_bytes(), yaml.CSafeLoader)
"""
WORKSPACE = """apiVersion: kaito.sh/v1alpha1
kind: Workspace
metadata:
  name: w{0}
resource:
  instanceType: Standard_NC24ads_A100_v4
  labelSelector:
    matchLabels:
      apps: phi-3-{0}
inference:
  preset:
    name: phi-3-mini-4k-instruct
"""

pytestmark = pytest.mark.timeout(1800)


def took(*command: str) -> tuple[float, float, str]:
    """Seconds by the clock, seconds of processor, and what it printed."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run([sys.executable, *command], check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - began, busy, done.stdout


def test_validate(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for number in range(FILES):
        file = tmp_path / f"team-{number // 100}" / f"w{number}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(WORKSPACE.format(number))
    raw, ours = [], []
    for _ in range(RUNS):
        raw.append(took("-c", RAW, str(tmp_path)))
        ours.append(took("-m", "reconciler", "validate", str(tmp_path), "-n", "ai"))
        assert f"{FILES} valid workspaces: no problems" in ours[-1][2]
    wall, busy = (statistics.median(run[n] for run in ours) for n in (0, 1))
    alone = statistics.median(run[1] for run in raw)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    with capsys.disabled():
        sys.stdout.write(
            f"\nvalidate {FILES} files: {wall:.1f} s ({busy:.1f} s of processor), at most {peak:.0f} MiB; "
            f"libyaml alone {alone:.1f} s of processor: {busy / alone:.1f} times\n"
        )
