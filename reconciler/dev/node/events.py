"""What a node tells of a pod's containers, from one status to the next, in the kubelet's words."""

from collections.abc import Iterator

from .status import Json

Told = tuple[str, str, str]
"""Type, reason and message of an Event."""


def events(before: Json, after: Json) -> Iterator[Told]:
    was = {each["name"]: each for each in _containers(before)}
    for each in _containers(after):
        old = was.get(each["name"], {})
        if each.get("containerID") != old.get("containerID"):
            yield "Normal", "Started", f"Started container {each['name']}"
        waiting = each["state"].get("waiting") or {}
        if waiting and waiting != (old.get("state") or {}).get("waiting"):
            yield from _waits(each, waiting["reason"], waiting.get("message", ""))


def _waits(container: Json, reason: str, message: str) -> Iterator[Told]:
    match reason:
        case "ImagePullBackOff":
            yield "Normal", "BackOff", f'Back-off pulling image "{container["image"]}"'
        case "CrashLoopBackOff":
            yield "Warning", "BackOff", message
        case "ContainerCreating" | "PodInitializing":
            return
        case _:
            yield "Warning", "Failed", message or f"Error: {reason}"


def _containers(status: Json) -> Iterator[Json]:
    for name in ("initContainerStatuses", "containerStatuses"):
        yield from status.get(name) or []
