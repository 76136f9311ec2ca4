"""A Job's pod failure policy. Conditions of pods are never met: nothing here disrupts a pod."""

from typing import Any

from reconciler.model.world import Manifest

FAIL_JOB, IGNORE = "FailJob", "Ignore"


def action(job: Manifest, pod: Manifest) -> tuple[str, str]:
    """Of the first rule that a failed pod meets, and why."""
    for index, rule in enumerate((job["spec"].get("podFailurePolicy") or {}).get("rules") or ()):
        for container, code in _exits(pod):
            if _meets(rule.get("onExitCodes"), container, code):
                why = f"Container {container} of {pod['metadata']['name']} failed with exit code {code}"
                return rule["action"], f"{why} matching {rule['action']} rule at index {index}"
    return "", ""


def _exits(pod: Manifest) -> list[tuple[str, int]]:
    kinds = ("initContainerStatuses", "containerStatuses")
    found = [each for kind in kinds for each in pod.get("status", {}).get(kind) or ()]
    return [(c["name"], c["state"]["terminated"]["exitCode"]) for c in found if "terminated" in c["state"]]


def _meets(codes: dict[str, Any] | None, container: str, code: int) -> bool:
    if codes is None or code == 0 or codes.get("containerName") not in (None, container):
        return False
    return (code in codes["values"]) is (codes["operator"] == "In")
