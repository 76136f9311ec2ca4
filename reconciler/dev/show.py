"""What the demo prints: a live table on a terminal, one line a change anywhere else."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from ..model.world import Manifest

_COLOURS = {"Ready": "green", "Succeeded": "green", "Failed": "red", "Invalid": "red", "Held": "yellow"}


class Show:
    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._began = time.monotonic()
        self._live: Live | None = None
        self._said: dict[str, tuple[str, str]] = {}

    def say(self, text: str) -> None:
        self._console.print(f"{self._clock()} {text}", highlight=False)

    def heading(self, text: str) -> None:
        self.close()
        self._console.rule(f"{self._clock()} {text}", align="left")

    def quote(self, line: str) -> None:
        """A line of what somebody else wrote, as it is."""
        self._console.print(f"    │ {line}", highlight=False, markup=False, soft_wrap=True)

    def workspaces(self, seen: Mapping[str, Manifest]) -> None:
        """The present state of all; called after every change."""
        if self._console.is_terminal:
            if self._live is None:
                self._live = Live(console=self._console, refresh_per_second=4)
                self._live.start()
            self._live.update(_table(seen))
        else:
            self._lines(seen)

    def summary(self, *, status_commits: Sequence[str], metrics: str, kubeconfig: str, settings: str) -> None:
        self.heading("status commits, newest first")
        for line in status_commits:
            self._console.print(f"  {line}", highlight=False, markup=False)
        self.heading("to look further (make demo KEEP=1 keeps everything running)")
        for name, value in (("metrics", metrics), ("kubeconfig", kubeconfig), ("settings", settings)):
            self._console.print(f"  {name:<11}{value}", highlight=False, soft_wrap=True)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _lines(self, seen: Mapping[str, Manifest]) -> None:
        for name, manifest in seen.items():
            status = manifest.get("status") or {}
            now = (str(status.get("phase", "")), str(status.get("reason", "")))
            if now[0] and self._said.get(name) != now:
                self._said[name] = now
                said = f"{name:<30} {now[0]:<13} {now[1]:<20} {status.get('message', '')}"
                self._console.print(f"{self._clock()} {said}", highlight=False, markup=False, soft_wrap=True)
        for name in self._said.keys() - seen.keys():
            del self._said[name]
            self.say(f"{name:<30} gone")

    def _clock(self) -> str:
        return f"[{time.monotonic() - self._began:5.1f} s]"


def _table(seen: Mapping[str, Manifest]) -> Table:
    table = Table("WORKSPACE", "PHASE", "REASON", "AGE", "MESSAGE", box=None, header_style="bold")
    for name in sorted(seen):
        status: dict[str, Any] = seen[name].get("status") or {}
        phase = str(status.get("phase", "-"))
        colour = _COLOURS.get(phase, "cyan")
        age = _age(seen[name]["metadata"].get("creationTimestamp", ""))
        message = str(status.get("message", ""))
        table.add_row(name, f"[{colour}]{phase}[/]", str(status.get("reason", "")), age, message[:80])
    return table


def _age(created: str) -> str:
    if not created:
        return ""
    return f"{max(0.0, time.time() - datetime.fromisoformat(created).timestamp()):.0f}s"
