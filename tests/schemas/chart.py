"""What the chart has that is made of the models: its values' schema, and the table of rights."""

import json
from dataclasses import asdict
from typing import Annotated, Any, Literal

import yaml
from pydantic import ConfigDict, Field

from reconciler.model.rights import RIGHTS
from reconciler.model.settings import Part

Object = dict[str, Any]


class Image(Part):
    repository: str
    """Where the daemon's image is; the Containerfile makes it."""
    tag: str = ""
    """By default the chart's appVersion."""
    digest: Annotated[str, Field(pattern="^(sha256:[0-9a-f]{64})?$")] = ""
    """Counts instead of the tag."""
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"


class Mount(Part):
    """All keys of a Secret or a ConfigMap of the release's namespace, as files."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["secret"]}, {"required": ["configMap"]}]}
    )

    secret: str = ""
    config_map: str = ""
    path: Annotated[str, Field(pattern="^/.")]
    """The folder they are in."""


class Account(Part):
    create: bool = True
    name: str = ""
    """By default the release's; of one that exists, without `create`."""
    annotations: dict[str, str] = {}
    """Such as `azure.workload.identity/client-id`."""


class Rights(Part):
    create: bool = True
    """Whether roles for `config.mode` and `config.engine` are made and bound."""
    namespaces: tuple[str, ...] = ()
    """Where workspaces may be written; empty: in every namespace."""


class Pod(Part):
    labels: dict[str, str] = {}
    """Such as `azure.workload.identity/use`."""
    annotations: dict[str, str] = {}
    node_selector: dict[str, str] = {}
    tolerations: list[Object] = []
    affinity: Object = {}
    priority_class_name: str = ""


class Service(Part):
    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    port: Annotated[int, Field(ge=1, le=65535)] = 80
    annotations: dict[str, str] = {}


class Network(Part):
    enabled: bool = True
    """Nothing but the port of metrics, probes and webhooks can be reached."""
    from_: Annotated[list[Object], Field(alias="from")] = []
    """Who may reach it, as in a NetworkPolicy; empty: anybody."""
    egress: list[Object] = []
    """Where it may go, as in a NetworkPolicy; empty: anywhere."""


class Monitoring(Part):
    monitor: Literal["", "ServiceMonitor", "PodMonitor"] = ""
    """Which of the Prometheus operator's objects tells it to scrape; by default none."""
    interval: Annotated[str, Field(pattern="^[0-9]+(ms|s|m)$")] = "30s"
    rules: bool = False
    """Whether the alerts of `alerts.yaml` are a PrometheusRule."""
    labels: dict[str, str] = {}
    """By which Prometheus selects monitors and rules."""
    dashboards: bool = False
    """Whether the dashboards are ConfigMaps for Grafana's sidecar."""
    dashboard_labels: dict[str, str] = {}
    """By which that finds them."""


class Values(Part):
    """The chart's values."""

    image: Image
    image_pull_secrets: list[Object] = []
    config: Object
    mounts: list[Mount] = []
    """Secrets and ConfigMaps as files, for the settings to name."""
    env: list[Object] = []
    """As of a container."""
    service_account: Account
    rights: Rights
    pod: Pod
    resources: Object
    """As of a container."""
    service: Service
    network_policy: Network
    monitoring: Monitoring
    global_: Annotated[Object, Field(alias="global")] = {}
    """Helm's own, where this chart is part of another; not used."""


def values(described: Object, settings: Object) -> Object:
    """The schema of `Values` with that of the settings, whole, in its place."""
    described["properties"]["config"] = settings
    return described


def rights() -> str:
    """For the chart's templates."""
    rows = [
        {
            "group": right.group,
            "resource": right.plural,
            **{name: value for name, value in asdict(right).items() if name in ("verbs", "where", "why")},
            "modes": right.modes,
            "engines": right.engines,
            **({"names": right.only} if right.only else {}),
        }
        for right in RIGHTS
    ]
    head = "# Made by `make schemas` of reconciler/model/rights.py, which explains it.\n"
    return head + yaml.safe_dump(
        {"rights": json.loads(json.dumps(rows))}, sort_keys=False, width=110, default_flow_style=None
    )
