"""What the Workspace objects and Events of a cluster say after a cycle."""

import asyncio
import copy
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import yaml

from reconciler import data
from reconciler.cluster.apply import install_crd
from reconciler.cluster.client import Client
from reconciler.errors import Unavailable
from reconciler.model.names import ObjectKey, WorkspaceId
from reconciler.model.news import News
from reconciler.model.settings import ClusterSettings
from reconciler.model.status import Condition, WorkspaceStatus
from reconciler.model.world import Artifact, Manifest
from reconciler.publish import ClusterStatus, Events, Publisher, merged

PHI, QWEN = WorkspaceId("default", "phi"), WorkspaceId("default", "qwen")


def status(id: WorkspaceId = PHI, phase: str = "Ready", message: str = "", **more) -> WorkspaceStatus:
    ready = "True" if phase == "Ready" else "False"
    conditions = (Condition("WorkspaceReady", ready, "Because", message, 1000.0),)
    given = {"revision": "r1", "commit": "c1", "path": "a.yaml", "line": 3, "conditions": conditions}
    return WorkspaceStatus(id, phase, "Because", message, **(given | more))


def news(*statuses: WorkspaceStatus, gone=(), **more) -> News:
    scope = {s.id: s for s in statuses}
    given = {"revision": "r1", "may_write": True} | more
    return News(1.0, scope=scope, changed=scope, gone=gone, all=scope, **given)


@dataclass
class Cluster:
    """A real server with Workspaces, and what a cache would know of them."""

    client: Client
    requests: list[tuple[str, str]]
    seen: dict[WorkspaceId, Manifest] = field(default_factory=dict)

    def live(self, id: WorkspaceId) -> Manifest | None:
        return self.seen.get(id)

    def note(self, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        self.seen[WorkspaceId(metadata["namespace"], metadata["name"])] = manifest

    async def create(self, id: WorkspaceId) -> Manifest:
        preset = {"preset": {"name": "phi-4"}}
        made = await self.client.apply(
            {
                "apiVersion": "kaito.sh/v1alpha1",
                "kind": "Workspace",
                "metadata": {"name": id.name, "namespace": id.namespace},
                "resource": {
                    "instanceType": "Standard_NC24ads_A100_v4",
                    "labelSelector": {"matchLabels": {"app": id.name}},
                },
                "inference": preset,
            }
        )
        self.note(made)
        return made

    async def status_of(self, id: WorkspaceId) -> Manifest:
        found = await self.client.get(ObjectKey("Workspace", id.namespace, id.name))
        assert found is not None
        return found["status"]

    def writes(self) -> int:
        """Status writes so far."""
        return sum(verb == "patch" and kind == "Workspace" for verb, kind in self.requests)


@pytest.fixture
async def cluster(apiserver, kubeconfig: Path):
    requests: list[tuple[str, str]] = []
    client = await Client.connect(
        ClusterSettings(kubeconfig=kubeconfig),
        on_request=lambda verb, kind, *_: requests.append((verb, kind)),
    )
    found = Cluster(client, requests)
    crd = yaml.safe_load(data.path("schemas/crds/workspaces.kaito.sh.yaml").read_text())
    await install_crd(client, crd)
    await found.create(PHI)
    requests.clear()
    yield found
    await client.close()


@pytest.fixture
def channel(cluster: Cluster) -> ClusterStatus:
    return ClusterStatus(cluster.client, cluster.live, cluster.note)


async def test_the_object_says_all_that_is_known(cluster, channel):
    tuned = status(
        phase="Ready",
        message="serving",
        nodes=("n1", "n2"),
        pool="r1",
        endpoint="http://phi.default.svc/chat",
        artifact=Artifact(
            "registry/a:1", "sha256:1", "key", stand_in="tiny", size=9, metrics={"trainLoss": 1.5}
        ),
    )
    await channel.tell(news(tuned))
    generation = cluster.seen[PHI]["metadata"]["generation"]
    assert await cluster.status_of(PHI) == {
        "phase": "Ready",
        "reason": "Because",
        "message": "serving",
        "conditions": [
            {
                "type": "WorkspaceReady",
                "status": "True",
                "reason": "Because",
                "message": "serving",
                "lastTransitionTime": "1970-01-01T00:16:40Z",
                "observedGeneration": generation,
            }
        ],
        "observedGeneration": generation,
        "workerNodes": ["n1", "n2"],
        "commit": "c1",
        "path": "a.yaml:3",
        "pool": "r1",
        "endpoint": "http://phi.default.svc/chat",
        "artifact": {
            "image": "registry/a:1",
            "digest": "sha256:1",
            "contentKey": "key",
            "simulated": False,
            "standIn": "tiny",
            "size": 9,
            "metrics": {"trainLoss": 1.5},
        },
    }


async def test_what_is_no_longer_so_disappears(cluster, channel):
    await channel.tell(news(status(nodes=("n1",), endpoint="http://x", pool="r1")))
    await channel.tell(news(status(phase="Provisioning")))
    told = await cluster.status_of(PHI)
    assert not {"endpoint", "pool", "workerNodes"} & told.keys()


async def test_an_unchanged_status_is_not_written_again(cluster, channel):
    await channel.tell(news(status()))
    moved = replace(status(), commit="c2", line=99, revision="r2", since=5.0)
    ticked = replace(status(), conditions=(replace(status().conditions[0], since=9e8),))
    for same in (status(), moved, ticked):
        await channel.tell(news(same))
    assert cluster.writes() == 1


async def test_a_restart_writes_nothing_and_keeps_transition_times(cluster, channel):
    await channel.tell(news(status()))
    restarted = ClusterStatus(cluster.client, cluster.live, cluster.note)
    later = replace(status(), conditions=(replace(status().conditions[0], since=9e8),))
    await restarted.tell(news(later))
    assert cluster.writes() == 1
    await restarted.tell(news(replace(later, message="other")))
    (condition,) = (await cluster.status_of(PHI))["conditions"]
    assert condition["lastTransitionTime"] == "1970-01-01T00:16:40Z"
    assert cluster.writes() == 2


async def test_a_status_somebody_changed_is_put_right(cluster, channel):
    await channel.tell(news(status()))
    changed = copy.deepcopy(cluster.seen[PHI]) | {"status": {"phase": "Nonsense"}}
    cluster.note(await cluster.client.replace(changed, subresource="status"))
    await channel.tell(news(status()))
    assert (await cluster.status_of(PHI))["phase"] == "Ready"


async def test_only_the_leader_writes(cluster, channel):
    await channel.tell(news(status(), may_write=False))
    assert cluster.writes() == 0


async def test_a_workspace_without_object_or_one_deleted_meanwhile_is_passed_over(cluster, channel):
    await cluster.client.delete(ObjectKey("Workspace", PHI.namespace, PHI.name))
    await cluster.create(QWEN)
    await channel.tell(news(status(), status(QWEN), status(WorkspaceId("default", "never"))))
    assert (await cluster.status_of(QWEN))["phase"] == "Ready"
    assert await cluster.client.get(ObjectKey("Workspace", PHI.namespace, PHI.name)) is None


async def test_no_secret_reaches_the_object(cluster, channel):
    await channel.tell(news(status(message="cannot pull https://bot:hunter22@registry/x")))
    assert "hunter22" not in json.dumps(await cluster.status_of(PHI))


# --- Events ----------------------------------------------------------------------------------------


async def told(cluster: Cluster) -> list[tuple[str, str, str]]:
    found, _ = await cluster.client.list("Event", "default")
    return sorted((e["type"], e["reason"], e["message"]) for e in found)


async def test_an_event_for_each_transition_and_none_for_the_rest(cluster):
    channel = Events(cluster.client, cluster.live)
    for found in (
        status(phase="Provisioning", message="nodes"),
        status(phase="Provisioning", message="more nodes"),
        status(phase="Ready"),
        status(phase="Ready"),
        status(phase="Failed", message="OOM"),
    ):
        await channel.tell(news(found))
    assert await told(cluster) == [
        ("Normal", "Because", "Provisioning: nodes"),
        ("Normal", "Because", "Ready"),
        ("Warning", "Because", "Failed: OOM"),
    ]


async def test_a_restart_tells_no_event_of_what_the_object_says_already(cluster, channel):
    await channel.tell(news(status()))
    events = Events(cluster.client, cluster.live)
    await events.tell(news(status()))
    assert await told(cluster) == []
    await Events(cluster.client, cluster.live).tell(news(status(phase="Held", message="ack it")))
    assert await told(cluster) == [("Warning", "Because", "Held: ack it")]


async def test_a_standby_follows_without_telling(cluster):
    channel = Events(cluster.client, cluster.live)
    await channel.tell(news(status(phase="Failed"), may_write=False))
    await channel.tell(news(status(phase="Failed")))
    assert await told(cluster) == []


# --- handing out -----------------------------------------------------------------------------------


class Listener:
    """A channel that notes what it is told, after failing as often as it is asked to."""

    def __init__(self, *failures: Exception) -> None:
        self.heard: list[News] = []
        self.failures = list(failures)
        self.open = asyncio.Event()
        self.open.set()

    async def tell(self, news: News) -> None:
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.heard.append(news)


async def test_a_failing_channel_stops_neither_the_others_nor_the_cycle():
    deaf, broken, well = Listener(Unavailable("down")), Listener(RuntimeError("bug")), Listener()
    publisher = Publisher([deaf, broken, well])
    await publisher(news(status()))
    await publisher.close()
    assert [len(well.heard), len(deaf.heard), len(broken.heard)] == [1, 0, 0]


async def test_what_a_channel_could_not_tell_is_told_with_the_next_news():
    channel = Listener(Unavailable("down"))
    publisher = Publisher([channel])
    await publisher(news(status(phase="Failed")))
    await publisher.close()
    await publisher(news(status(QWEN)))
    await publisher.close()
    (heard,) = channel.heard
    assert heard.scope == {PHI: status(phase="Failed"), QWEN: status(QWEN)}


async def test_it_is_told_soon_where_no_newer_news_come():
    channel = Listener(Unavailable("down", retry_after=0.02))
    publisher = Publisher([channel])
    await publisher(news(status()))
    async with asyncio.timeout(5):
        while not channel.heard:
            await asyncio.sleep(0.005)
    await publisher.close()
    assert channel.heard[0].scope == {PHI: status()}


async def test_a_slow_channel_holds_up_nobody_and_hears_the_latest():
    channel = Listener()
    channel.open.clear()
    publisher = Publisher([channel])
    await publisher(news(status(phase="Provisioning")))
    await asyncio.sleep(0)
    await publisher(news(status(phase="Deploying")))
    await publisher(news(status(phase="Ready")))
    channel.open.set()
    await publisher.close()
    assert [h.scope[PHI].phase for h in channel.heard] == ["Provisioning", "Ready"]


def test_merged_news_know_who_is_gone_and_who_came_back():
    both = merged(news(status(), status(QWEN)), news(gone=(PHI,)))
    assert both is not None
    assert (set(both.scope), set(both.changed), both.gone) == ({QWEN}, {QWEN}, (PHI,))
    again = merged(both, news(status(phase="Deploying")))
    assert again is not None
    assert (set(again.scope), again.gone) == ({PHI, QWEN}, ())
