"""A Job's pod failure policy. Conditions of pods are never met: nothing here disrupts a pod."""

from typing import Any

from reconciler.model.world import Manifest

FAIL_JOB, IGNORE = "FailJob", "Ignore"


def action(job: Manifest, pod: Manifest) -> tuple[str, str]:
    """Of the first rule that a failed pod meets, and why."""
    for index, rule in enumerate((job["spec"].get("podFailurePolicy") or {}).get("rules") or ()):
        for container, code in _exits(pod):
            if _meets(rule.get("onExitCodes"), container, code):
                who = f"Container {container} of {pod['metadata']['name']}"
                return rule["action"], f"{who} failed with exit code {code}, as rule {index} names"
    return "", ""


def _exits(pod: Manifest) -> list[tuple[str, int]]:
    status = pod.get("status", {})
    found = (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or [])
    return [(c["name"], c["state"]["terminated"]["exitCode"]) for c in found if "terminated" in c["state"]]


def _meets(codes: Any, container: str, code: int) -> bool:
    met = bool(codes and code) and codes.get("containerName") in (None, container)
    return met and (code in codes["values"]) is (codes["operator"] == "In")
