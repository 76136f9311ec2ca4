"""What the demo shows of real work: a falling loss, an adapter's digest, and what it does to the answers."""

import re
from typing import Any

from ..cluster.client import Client
from ..model import names
from .conversation import ask
from .show import Show
from .user import DemoFailed

QUESTION = "What is the capital of Freedonia?"
_LOSS = re.compile(r"\bloss\b", re.IGNORECASE)
_LINES = 8


class RealWork:
    """`compare` first, then `compare_without`."""

    def __init__(self, client: Client, show: Show, namespace: str) -> None:
        self._client, self._show, self._namespace = client, show, namespace
        self._base = ""

    async def show_training(self, workspace: str, status: dict[str, Any]) -> None:
        """What the tuning pod said of its loss, and what came of it."""
        pods, _ = await self._client.list("Pod", self._namespace)
        for pod in pods:
            if (pod["metadata"].get("labels") or {}).get(names.WORKSPACE) == workspace:
                log = await self._client.logs(self._namespace, pod["metadata"]["name"], "tuner")
                for line in _spread([line for line in log.splitlines() if _LOSS.search(line)]):
                    self._show.quote(line)
        artifact = status.get("artifact") or {}
        self._show.say(f"adapter {artifact.get('image')}@{artifact.get('digest')}")

    async def compare(self, base: str, adapted: str) -> None:
        """Raises DemoFailed where the adapter makes no difference."""
        self._base = await ask(self._client, self._namespace, base, QUESTION)
        tuned = await ask(self._client, self._namespace, adapted, QUESTION)
        self._show.heading(f'POST /chat "{QUESTION}"')
        self._show.say(f"base:                  {self._base}")
        self._show.say(f"adapter, strength 1.0: {tuned}")
        if tuned == self._base:
            raise DemoFailed("the tuned adapter answers as the base does")

    async def compare_without(self, adapted: str) -> None:
        """With strength 0. Raises DemoFailed where the answer is not the base's."""
        answer = await ask(self._client, self._namespace, adapted, QUESTION)
        self._show.say(f"adapter, strength 0:   {answer}")
        if answer != self._base:
            raise DemoFailed(f"with strength 0 the answer is not the base's: {self._base}")


def _spread(lines: list[str]) -> list[str]:
    """At most so many of them, the first and the last among them."""
    if len(lines) <= _LINES:
        return lines
    step = (len(lines) - 1) / (_LINES - 1)
    return [lines[round(step * number)] for number in range(_LINES)]
