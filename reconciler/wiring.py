"""Settings into a running daemon: the one place that names concrete parts."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import structlog
import yaml
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from . import data, telemetry
from .cluster.apply import cluster_id, workspace_versions
from .cluster.cache import Cache
from .cluster.client import Client
from .cluster.lease import Leadership
from .cluster.state import StateStore
from .config import Settings
from .errors import ReconcilerError, Unavailable
from .forge import Forge, connect
from .loop.asked import Asked
from .loop.conditions import REVIEW_BLOCKED, WRITE_BACK_BLOCKED, Conditions
from .loop.cycle import World
from .loop.daemon import Daemon, for_ever
from .loop.execute import Hands
from .loop.ledger import Ledger
from .loop.outlook import Outlook
from .loop.planner import Planner
from .loop.view import View, selections
from .loop.wakeups import Wakeups
from .model import names
from .model.catalogues import Catalogues
from .model.names import WorkspaceId
from .model.policy import Policy
from .model.settings import SimulatedProvisioner
from .model.world import Desired, Manifest
from .planning.manifests import Context
from .provisioners import Provisioner
from .provisioners.simulated import Simulated
from .publish import Channel, ClusterStatus, Events, Publisher
from .repo.mirror import Mirror
from .repo.writer import Branch
from .review.answer import Answers
from .review.approvals import Approvals
from .review.blind import Blind
from .review.review import Review
from .review.rollout import RolloutChecks
from .review.rounds import Health
from .sources import specs
from .sources.catalog import load as load_catalogues
from .sources.catalog import templates
from .sources.git import GitSource
from .sources.requests import Requests
from .statusref import StatusRef
from .web import Hook, Nudge, Probes, serve

BLIND_SECONDS = 15.0
"""After which requests are answered without the cluster, if it stays away."""

T = TypeVar("T")
log = structlog.get_logger(__name__)


@dataclass
class Running:
    """A daemon on its way; `port` is where metrics and probes are served."""

    daemon: Daemon
    port: int


@asynccontextmanager
async def observing(settings: Settings) -> AsyncIterator[World]:
    """The world as it is, to be looked at only: nothing is written, no lease taken, nothing waited for.

    Raises Unavailable where the cluster cannot be read.
    """
    async with AsyncExitStack() as open_parts:
        yield await _Parts(settings, open_parts).look()


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """Builds everything, starts it, and takes it down again in reverse order."""
    async with AsyncExitStack() as open_parts:
        parts = _Parts(settings, open_parts)
        yield await parts.start()


def context(settings: Settings, id: str, catalogues: Catalogues) -> Context:
    """What resolving needs; `id` is the cluster's."""
    return Context(
        cluster_id=id,
        catalogues=catalogues,
        engine=settings.engine,
        driver=settings.provisioner.driver if settings.provisioner else "",
        tenants=settings.tenants,
        images=settings.images,
        templates=tuple(templates().items()),
    )


def crd() -> Manifest:
    manifest: Manifest = yaml.safe_load(data.path(f"schemas/crds/{names.CRD_NAME}.yaml").read_text())
    return manifest


def git_source(settings: Settings) -> GitSource:
    source = settings.source
    mirror = _mirror(settings, "source")
    return GitSource(mirror, source.paths, specs.parse, source.poll_seconds, source.signatures)


def _mirror(settings: Settings, name: str) -> Mirror:
    source = settings.source
    return Mirror(settings.cache / name, source.url, source.ref, source.credentials, source.timeout_seconds)


def provisioners(settings: Settings) -> dict[str, Provisioner]:
    match settings.provisioner:
        case SimulatedProvisioner() as simulated:
            return {"simulated": Simulated(simulated)}
    return {}


class _Parts:
    """The steps of a start, each registering its own end."""

    def __init__(self, settings: Settings, open_parts: AsyncExitStack) -> None:
        self.settings = settings
        self.open = open_parts
        self.wakeups = Wakeups()
        self.taking_over: asyncio.Task[None] | None = None
        self.source: GitSource | None = None
        self.review: Review | None = None
        self.health = Health()
        self.catalogues = load_catalogues(settings.catalogue, settings.prices)

    async def start(self) -> Running:
        telemetry.begin()
        settings = self.settings
        telemetry.runs(settings.cluster, settings.engine, settings.mode, data.version())
        probes = _Readiness()
        loop = asyncio.get_running_loop()

        def nudged(nudge: Nudge) -> None:
            loop.call_soon_threadsafe(self._nudged, nudge)

        hooks = [Hook(each, nudged) for each in self.settings.web.webhooks]
        web = await serve(self.settings.web, probes.probes, hooks)
        self.open.push_async_callback(web.close)
        source = self.source = git_source(self.settings)
        forge = self._forge()
        blind = asyncio.create_task(self._review_blind(forge, source)) if forge else None
        client = await self._client()
        id = await _patiently(lambda: cluster_id(client))
        view = View(id, self.wakeups, self.catalogues.skus, self.settings.engine)
        view.cache = await self._cache(client, view)
        world = await self._world(client, view)
        made_of = context(self.settings, id, self.catalogues)
        daemon = Daemon(world, source, made_of, self.settings.timing, self.wakeups)
        if blind is not None:
            blind.cancel()
        channels = self._reviewing(forge, daemon, source) if forge else []
        await self._publisher(client, world, view, channels)
        await self._leadership(client, world)
        probes.daemon = daemon
        log.info("started", cluster=self.settings.cluster, engine=self.settings.engine, port=web.port)
        return Running(daemon, web.port)

    async def look(self) -> World:
        client = await self._client()
        view = View(await cluster_id(client), self.wakeups, self.catalogues.skus, self.settings.engine)
        view.cache = await self._cache(client, view)
        if "cluster" in view.unseen:
            raise Unavailable(next(why for why in view.cache.unseen.values() if why != "not served"))
        world = await self._world(client, view)
        for name, driver in world.hands.provisioners.items():
            try:
                view.pools_seen(name, await driver.observe())
            except ReconcilerError:
                view.driver_unseen(name)
        return world

    async def _client(self) -> Client:
        client = await Client.connect(
            self.settings.kubernetes, user_agent="reconciler", on_request=telemetry.request
        )
        self.open.push_async_callback(client.close)
        if versions := await _patiently(lambda: workspace_versions(client)):
            client.serves("Workspace", versions)
        return client

    async def _cache(self, client: Client, view: View) -> Cache:
        chosen = selections(self.settings.engine)
        cache = Cache(client, chosen, view.on_change, self.wakeups.mark_all, retry_seconds=5.0)
        for selection in chosen:
            telemetry.watch_lag(selection.kind, partial(cache.lag_seconds, selection.kind))
        await cache.start()
        self.open.push_async_callback(cache.close)
        await cache.synced()
        return cache

    async def _world(self, client: Client, view: View) -> World:
        assert view.cache is not None
        drivers = provisioners(self.settings)
        for driver in drivers.values():
            self.open.push_async_callback(driver.close)
        writes = self.settings.mode != "observe"
        ledger = Ledger(StateStore(client, self.settings.kubernetes.namespace) if writes else None)
        await _patiently(ledger.load)
        policy = Policy(
            cluster_id=view.cluster_id,
            engine=self.settings.engine,
            mode=self.settings.mode,
            limits=self.settings.limits,
            timing=self.settings.timing,
            prices=self.catalogues.prices,
            reserved=self.settings.prices.reserved,
        )
        telemetry.costs(partial(view.hourly, policy))
        hands = Hands(client, view.cache, view.facts, drivers, crd(), finished=self.wakeups.mark)
        self.open.push_async_callback(hands.close)
        conditions = Conditions(client if writes else None, self.settings.kubernetes.namespace)
        self.open.push_async_callback(conditions.close)
        return World(view, hands, ledger, Planner(), Publisher([]), policy, conditions=conditions)

    def _forge(self) -> Forge | None:
        if self.settings.forge is None:
            return None
        forge = connect(self.settings.forge)
        self.open.push_async_callback(forge.close)
        return forge

    async def _review_blind(self, forge: Forge, source: GitSource) -> None:
        """Answers requests without the cluster, where that stays away; `_reviewing` takes them over."""
        await asyncio.sleep(BLIND_SECONDS)
        log.warning("answering requests without the cluster")
        requests = Requests(source, _mirror(self.settings, "requests"))
        blind = Blind(requests, context(self.settings, "", self.catalogues))
        self.review = self._review(forge, self._answers(requests, blind), lambda: True)
        await for_ever(partial(source.follow, self.review.look), "blind review")

    def _answers(self, requests: Requests, outlook: Outlook | Blind) -> Answers:
        settings = self.settings
        unknown = settings.review.on_unknown
        return Answers(requests, outlook, self.catalogues, settings.cluster, unknown)

    def _review(self, forge: Forge, answers: Answers, leads: Callable[[], bool]) -> Review:
        settings = self.settings
        review = Review(forge, answers, settings.source.branch, settings.review.poll_seconds, leads)
        self._in_background(partial(review.run, self.health.of("review")), "review")
        return review

    def _reviewing(self, forge: Forge, daemon: Daemon, source: GitSource) -> list[Channel]:
        """What tells on the forge."""
        settings, world = self.settings, daemon.world
        self.health.tell(partial(world.conditions.report, REVIEW_BLOCKED))

        def leads() -> bool:
            return world.tells

        if self.review is None:
            requests = Requests(source, _mirror(settings, "requests"))
            self.review = self._review(forge, self._answers(requests, Outlook(daemon)), leads)
        else:
            sees = replace(self.review.answers, outlook=Outlook(daemon))
            self.review.answers, self.review.leads = sees, leads
        review, ready = self.review, settings.review.ready_seconds
        rollout = RolloutChecks(forge, settings.cluster, ready, leads, source.before)

        def held() -> dict[str, str]:
            return world.ledger.held_since() if world.may_write else {}

        approvals = Approvals(forge, settings.cluster, held, daemon.acknowledge, settings.review)

        def on_revision(desired: Desired, changed: frozenset[WorkspaceId]) -> None:
            rollout.begin(desired, changed)
            review.look()

        daemon.on_revision = on_revision
        self._in_background(partial(rollout.run, self.health.of("rollout")), "rollout")
        self._in_background(partial(approvals.run, self.health.of("approvals")), "approvals")
        return [review, rollout, approvals]

    def _nudged(self, nudge: Nudge) -> None:
        """A webhook: go and look. What it says is not believed any further."""
        source = self.settings.source
        watched = ("", source.ref, f"refs/heads/{source.branch}")
        if nudge.number is None and nudge.ref in watched and self.source is not None:
            self.source.look()
        if not nudge.ref and self.review is not None:
            self.review.look()

    def _in_background(self, what: Callable[[], Awaitable[None]], name: str) -> None:
        task = asyncio.create_task(for_ever(what, name), name=name)

        async def ended() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self.open.push_async_callback(ended)

    async def _publisher(self, client: Client, world: World, view: View, channels: list[Channel]) -> None:
        assert view.cache is not None
        if self.settings.engine == "native" and self.settings.mode != "observe":
            channels += [ClusterStatus(client, view.mirror, view.cache.note), Events(client, view.mirror)]
        if (ref := self.settings.status_ref) is not None:
            status_ref = StatusRef(
                self._branch(ref),
                self.settings.cluster,
                view.cluster_id,
                self.settings.status,
                leaderless=self.settings.mode == "observe",
                on_blocked=partial(world.conditions.report, WRITE_BACK_BLOCKED),
            )
            await status_ref.start()
            self.open.push_async_callback(status_ref.close)
            channels.append(status_ref)
        publisher = Publisher(channels)
        self.open.push_async_callback(publisher.close)
        world.publish = publisher

    def _branch(self, ref: str) -> Branch:
        source, status = self.settings.source, self.settings.status
        credentials = status.credentials or source.credentials
        cache = self.settings.cache / "status"
        return Branch(cache, status.url or source.url, ref, credentials, source.timeout_seconds)

    async def _leadership(self, client: Client, world: World) -> None:
        """Without cluster writes there is nothing to lead, and every process plans and reports."""
        if self.settings.mode == "observe":
            return

        async def lead() -> None:
            await _patiently(world.ledger.load)  # another process may have written it since
            await _patiently(world.conditions.lead)
            world.may_write = leadership.held
            world.led = world.led or world.may_write
            telemetry.leads(world.may_write)
            self.wakeups.mark_all()
            asked.look()

        def changed(held: bool) -> None:
            if held:
                self.taking_over = asyncio.create_task(lead(), name="take over")
            else:
                world.may_write = False
                world.conditions.follow()
                telemetry.leads(False)

        kubernetes = self.settings.kubernetes
        world.asked = asked = Asked(client, kubernetes.namespace)
        await asked.start()
        self.open.push_async_callback(asked.close)
        identity = f"{socket.gethostname()}-{os.getpid()}-{time.time_ns() & 0xFFFFFF:06x}"
        leadership = Leadership(
            client, kubernetes.namespace, names.LEASE, identity, kubernetes.lease_seconds, changed
        )
        await leadership.start()
        self.open.push_async_callback(leadership.close)


class _Readiness:
    """Answers the probes before and after there is a daemon."""

    def __init__(self) -> None:
        self.daemon: Daemon | None = None

    @property
    def probes(self) -> Probes:
        return Probes(alive=self._alive, missing=self._missing)

    def _alive(self) -> bool:
        return self.daemon is None or not self.daemon.hangs

    def _missing(self) -> list[str]:
        if self.daemon is None:
            return ["the cluster has not been read yet"]
        return self.daemon.missing


async def _patiently(what: Callable[[], Awaitable[T]]) -> T:
    """A daemon that starts before its API server waits for it."""
    attempts = AsyncRetrying(
        retry=retry_if_exception_type(Unavailable),
        wait=wait_random_exponential(max=30),
        before_sleep=lambda state: log.warning(
            "waiting", error=str(state.outcome and state.outcome.exception())
        ),
    )
    async for attempt in attempts:
        with attempt:
            return await what()
    raise AssertionError("unreachable: attempts never end")
