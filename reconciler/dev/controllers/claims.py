"""PersistentVolumeClaim: bound at once, to no volume in particular; the node agent provides the room."""

from reconciler.dev.clock import Pace
from reconciler.dev.objects import phase
from reconciler.dev.view import View
from reconciler.model.world import Manifest


class Claims:
    def __init__(self, view: View, pace: Pace) -> None:
        self._view = view
        self.queue = view.controller("PersistentVolumeClaim", self._reconcile, pace)

    async def _reconcile(self, claim: Manifest) -> None:
        if phase(claim) == "Bound":
            return
        spec = claim["spec"]
        capacity = (spec.get("resources") or {}).get("requests") or {}
        status = {"phase": "Bound", "accessModes": spec.get("accessModes") or [], "capacity": capacity}
        await self._view.set_status(claim, status)
