"""A Job's pod failure policy: what a pod's end means, by its containers' exit codes or its conditions."""

from collections.abc import Iterator
from typing import Any

from reconciler.dev.objects import condition
from reconciler.model.world import Manifest

FAIL_JOB, IGNORE = "FailJob", "Ignore"


def action(job: Manifest, pod: Manifest) -> tuple[str, str]:
    """Of the first rule that a failed pod meets, with the reason in the words of the job controller."""
    for index, rule in enumerate((job["spec"].get("podFailurePolicy") or {}).get("rules") or ()):
        if why := _met(rule, pod):
            return str(rule["action"]), f"{why} matching {rule['action']} rule at index {index}"
    return "", ""


def _met(rule: dict[str, Any], pod: Manifest) -> str:
    name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
    if codes := rule.get("onExitCodes"):
        for container, code in _exits(pod, codes.get("containerName")):
            if code and (code in codes["values"]) == (codes["operator"] == "In"):
                return f"Container {container} for pod {name} failed with exit code {code}"
        return ""
    for wanted in rule.get("onPodConditions") or ():
        found = condition(pod, wanted["type"])
        if found and found["status"] == wanted.get("status", "True"):
            return f"Pod {name} has condition {wanted['type']}"
    return ""


def _exits(pod: Manifest, only: str | None) -> Iterator[tuple[str, int]]:
    for kind in ("initContainerStatuses", "containerStatuses"):
        for each in pod.get("status", {}).get(kind) or ():
            ended = each["state"].get("terminated")
            if ended and only in (None, each["name"]):
                yield each["name"], int(ended["exitCode"])
