"""A tuning workspace as Kubernetes objects: a Job that downloads, trains and pushes its own adapter."""

from dataclasses import replace
from typing import Any

from ..model import names
from ..model.preset import Preset
from ..model.workspace import Tuning
from ..model.world import DesiredObject
from . import podspec, puller, pusher, reruns, runtime_pod, tuner
from .manifests import Draft, child

_DOWNLOADER_IMAGE = "curlimages/curl:8.11.1"
_DOCKER_CONFIG = "/root/.docker"
"""In the container: where registry clients look for credentials, and Kaito mounts them since 0.4.5."""


def content_key(draft: Draft, preset: Preset) -> str:
    """Identity of the result: the same base, data, configuration and method give the same adapter."""
    tuning = _tuning(draft)
    data = [sorted(tuning.input.urls), tuning.input.image, tuning.input.volume_source]
    base = [preset.weights.repository, preset.weights.revision, tuning.preset.preset_options.image]
    return names.fingerprint([base, data, draft.config, tuning.method])


def settings(draft: Draft, preset: Preset) -> DesiredObject:
    """The user's configuration untouched, and beside it what the Job itself must know."""
    tuning = _tuning(draft)
    said = {
        "workspace": {"namespace": draft.id.namespace, "name": draft.id.name},
        "preset": preset.name,
        "base": runtime_pod.base(preset),
        "method": tuning.method,
        "contentKey": content_key(draft, preset),
        "input": {
            "urls": list(tuning.input.urls),
            "image": tuning.input.image,
            "path": tuner.DATA,
            "allowHosts": list(draft.context.images.allow_hosts),
        },
        "output": {"image": tuning.output.image, "path": tuner.RESULTS},
        "targetModules": list(preset.tuning.target_modules) if preset.tuning else [],
        "processes": max(1, podspec.gpus_per_node(draft)),
        "auth": {
            "pull": [runtime_pod.pull_auth(secret) for secret in tuning.input.image_pull_secrets],
            "push": runtime_pod.PUSH_AUTH,
        },
    }
    data = {"settings.json": runtime_pod.text(said), "training_config.yaml": draft.config}
    return child(draft, "ConfigMap", podspec.settings_name(draft), {"data": data})


def job(draft: Draft, preset: Preset, config: DesiredObject, commit: str) -> DesiredObject:
    """`config` is what `settings` made; `commit` declared it, and is told to the pod only."""
    tuning = _tuning(draft)
    ours = draft.runs_our_image
    image = tuning.preset.preset_options.image or preset.image
    pod = tuner.pod(draft, tuning) if ours else _pod(draft, preset, image)
    spec: dict[str, Any] = {
        "backoffLimit": 3,
        "completions": 1,
        "parallelism": 1,
        "template": podspec.gpu_pod(draft, pod, config),
    }
    if ours:
        spec["podFailurePolicy"] = tuner.FAILURE_POLICY
    result = [content_key(draft, preset), tuning.output.image, tuning.output.volume_source]
    mark = reruns.fingerprint(result, draft.content)
    return _told(child(draft, "Job", draft.id.name, {"spec": spec}, mark), commit)


def _told(job: DesiredObject, commit: str) -> DesiredObject:
    """After the fingerprints were taken: another commit alone is no other rendering."""
    spec = job.manifest["spec"]
    metadata = spec["template"]["metadata"]
    annotations = {**metadata["annotations"], names.COMMIT: commit}
    template = {**spec["template"], "metadata": {**metadata, "annotations": annotations}}
    return replace(job, manifest={**job.manifest, "spec": {**spec, "template": template}})


def _pod(draft: Draft, preset: Preset, image: str) -> dict[str, Any]:
    """Kaito's image between a downloader or puller and a pusher."""
    tuning = _tuning(draft)
    secrets = tuning.preset.preset_options.image_pull_secrets
    volumes, mounts = _volumes(tuning)
    trainer = {
        "name": "tuner",
        "image": image,
        "command": _command(draft),
        "env": _env(preset),
        "resources": podspec.resources(draft),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [*podspec.base_mounts(), *mounts[:2]],
    }
    pod: dict[str, Any] = {"restartPolicy": "Never", "containers": [trainer], "volumes": volumes}
    if tuning.input.urls:
        pod["initContainers"] = [_downloader(tuning)]
    if tuning.input.image:
        pod["initContainers"] = first = [puller.container("puller", tuning.input, tuner.DATA, mounts[0])]
        puller.mount_logins(pod, tuning.input.image_pull_secrets, first)
    if tuning.output.image:
        last = pusher.container(tuning, preset, content_key(draft, preset))
        pod["containers"].append({**last, "volumeMounts": mounts[1:]})
        pod["shareProcessNamespace"] = True
    if secrets:
        pod["imagePullSecrets"] = podspec.pull_secrets(tuple(dict.fromkeys(secrets)))
    return pod


def _command(draft: Draft) -> list[str]:
    processes = max(1, podspec.gpus_per_node(draft))
    return ["accelerate", "launch", f"--num_processes={processes}", "fine_tuning.py"]


def _env(preset: Preset) -> list[dict[str, str]]:
    env = {
        "RECONCILER_SETTINGS": f"{podspec.SETTINGS_PATH}/settings.json",
        "YAML_FILE_PATH": f"{podspec.SETTINGS_PATH}/training_config.yaml",
        "DATASET_FOLDER_PATH": "/mnt/data",
    }
    if preset.tuning is not None and preset.tuning.target_modules:
        env["DEFAULT_TARGET_MODULES"] = ",".join(preset.tuning.target_modules)
    return [{"name": name, "value": value} for name, value in env.items()]


def _volumes(tuning: Tuning) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    source = tuning.input.volume_source or {"emptyDir": {}}
    results = tuning.output.volume_source or {"emptyDir": {}}
    volumes: list[dict[str, Any]] = [{"name": "data", **source}, {"name": "results", **results}]
    mounts: list[dict[str, Any]] = [
        {"name": "data", "mountPath": "/mnt/data"},
        {"name": "results", "mountPath": "/mnt/results"},
    ]
    if tuning.output.image_push_secret:
        item = {"key": ".dockerconfigjson", "path": "config.json"}
        secret = {"secretName": tuning.output.image_push_secret, "items": [item]}
        volumes.append({"name": "push-secret", "secret": secret})
        mounts.append({"name": "push-secret", "mountPath": _DOCKER_CONFIG, "readOnly": True})
    return volumes, mounts


def _downloader(tuning: Tuning) -> dict[str, Any]:
    """Fetches each URL into its own file, named by number: two equal base names never collide."""
    fetches = [
        part
        for number, url in enumerate(tuning.input.urls)
        for part in ("--output", f"/mnt/data/{number:03d}-{file_name(url)}", url)
    ]
    options = ["--fail", "--location", "--retry", "5", "--retry-all-errors", "--proto", "=http,https"]
    return {
        "name": "downloader",
        "image": _DOWNLOADER_IMAGE,
        "command": ["curl", *options, *fetches],
        "volumeMounts": [{"name": "data", "mountPath": "/mnt/data"}],
    }


def file_name(url: str) -> str:
    """The last part of a URL's path, without its query; `data` where that is empty."""
    path = url.partition("://")[2].partition("#")[0].partition("?")[0]
    last = path.rpartition("/")[2] if "/" in path else ""
    kept = "".join(c if c.isalnum() or c in "-_." else "_" for c in last)
    return kept[-100:].lstrip(".") or "data"


def _tuning(draft: Draft) -> Tuning:
    assert draft.workspace.tuning is not None
    return draft.workspace.tuning
