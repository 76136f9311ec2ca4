"""Equal parts of many objects, kept once.

Ten thousand workloads differ in a few names; their probes, tolerations, resources and conditions are
the same. Kept apart they fill hundreds of megabytes, and nothing in the cache is ever changed in place.
"""

from typing import Any

import orjson

from reconciler.model.world import Manifest

_LIMIT = 20_000


class Sharing:
    """Learns which parts recur. What it knows is bounded; forgetting costs memory only."""

    def __init__(self) -> None:
        self._parts: dict[int, Any] = {}
        self._once: set[int] = set()

    def manifest(self, manifest: Manifest) -> Manifest:
        """An equal manifest; metadata is left alone, for it is never the same twice."""
        return {name: part if name == "metadata" else self._part(part) for name, part in manifest.items()}

    def _part(self, part: Any) -> Any:
        if not isinstance(part, dict | list) or not part:
            return part
        mark = hash(orjson.dumps(part))
        known = self._parts.get(mark)
        if known is not None and known == part:
            return known
        if isinstance(part, dict):
            rebuilt: Any = {name: self._part(below) for name, below in part.items()}
        else:
            rebuilt = [self._part(below) for below in part]
        self._learn(mark, rebuilt)
        return rebuilt

    def _learn(self, mark: int, part: Any) -> None:
        """Only what is met a second time is worth keeping."""
        for table in (self._parts, self._once):
            if len(table) > _LIMIT:
                table.clear()
        if mark in self._once:
            self._parts[mark] = part
            self._once.discard(mark)
        else:
            self._once.add(mark)
