"""The pod in which our own image tunes: it downloads, trains and pushes its adapter itself.

Exit status 2 of any of its containers says that trying again is useless.
"""

from typing import Any

from ..model import names
from ..model.workspace import Tuning
from . import runtime_pod
from .manifests import Draft

DATA, RESULTS = "/mnt/data", "/mnt/results"
COMMIT_VARIABLE = "RECONCILER_COMMIT"
FAILURE_POLICY = {
    "rules": [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [2]}},
    ]
}
"""A Job's: a drained node costs no try, and what cannot succeed is not tried again."""


def pod(draft: Draft, tuning: Tuning) -> dict[str, Any]:
    image = draft.context.images.image("tuning")
    made = runtime_pod.container("tuner", image, ["python", "-m", "tuner"])
    commit = {"fieldRef": {"fieldPath": f"metadata.annotations['{names.COMMIT}']"}}
    made["env"] = [*made["env"], {"name": COMMIT_VARIABLE, "valueFrom": commit}]
    made["ports"] = [{"name": "metrics", "containerPort": 5000}]
    runtime_pod.with_weights(made, draft)
    first = _fetcher(image, tuning)
    spec = runtime_pod.pod(draft, {"initContainers": first, "containers": [made]})
    spec["restartPolicy"] = "Never"
    _mount(spec, "data", DATA, tuning.input.volume_source, [made, *first])
    _mount(spec, "results", RESULTS, tuning.output.volume_source, [made])
    runtime_pod.mount_logins(spec, tuning.input.image_pull_secrets, first)
    if tuning.output.image_push_secret:
        runtime_pod.mount_push_login(spec, tuning.output.image_push_secret, made)
    return spec


def _fetcher(image: str, tuning: Tuning) -> list[dict[str, Any]]:
    """Nothing where the data is on a volume."""
    source = tuning.input
    if source.urls:
        return [runtime_pod.container("downloader", image, ["python", "-m", "tuner.download"])]
    if source.image:
        command = ["python", "-m", "artifacts", "pull", source.image, DATA]
        command += [part for s in source.image_pull_secrets for part in ("--auth", runtime_pod.pull_auth(s))]
        return [runtime_pod.container("puller", image, command)]
    return []


def _mount(spec: dict[str, Any], name: str, path: str, source: Any, containers: list[dict[str, Any]]) -> None:
    spec["volumes"].append({"name": name, **(source or {"emptyDir": {}})})
    for each in containers:
        each["volumeMounts"].append({"name": name, "mountPath": path})
