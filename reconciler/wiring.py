"""Settings into a running daemon: the one place that names concrete parts."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import structlog
import yaml
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from . import data, telemetry
from .cluster.apply import cluster_id, workspace_versions
from .cluster.cache import Cache
from .cluster.client import Client
from .cluster.lease import Leadership
from .cluster.state import StateStore
from .config import Settings
from .errors import ReconcilerError, Unavailable
from .forge import connect
from .loop.asked import Asked
from .loop.conditions import WRITE_BACK_BLOCKED, Conditions
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
from .model.world import Desired, Manifest, nodes_of
from .planning.manifests import Context
from .provisioners import Provisioner
from .provisioners.simulated import Simulated
from .publish import Channel, ClusterStatus, Events, Publisher
from .repo.mirror import Mirror
from .repo.writer import Branch
from .review.answer import Answers
from .review.approvals import Approvals
from .review.review import Review
from .review.rollout import RolloutChecks
from .sources import specs
from .sources.catalog import load as load_catalogues
from .sources.catalog import templates
from .sources.git import GitSource
from .sources.requests import Requests
from .statusref import StatusRef
from .web import Hook, Nudge, Probes, serve

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
        self.catalogues = load_catalogues(settings.catalogue, settings.prices)

    async def start(self) -> Running:
        telemetry.begin()
        settings = self.settings
        telemetry.runs(settings.cluster, settings.engine, settings.mode, data.version())
        probes = _Readiness()
        hooks = [Hook(each, self._nudged) for each in self.settings.web.webhooks]
        web = await serve(self.settings.web, probes.probes, hooks)
        self.open.push_async_callback(web.close)
        client = await self._client()
        id = await _patiently(lambda: cluster_id(client))
        view = View(id, self.wakeups, self.catalogues.skus, self.settings.engine)
        view.cache = await self._cache(client, view)
        world = await self._world(client, view)
        source = self.source = git_source(self.settings)
        made_of = context(self.settings, id, self.catalogues)
        daemon = Daemon(world, source, made_of, self.settings.timing, self.wakeups)
        await self._publisher(client, world, view, self._reviewing(daemon, source))
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
        telemetry.costs(partial(_hourly, view, policy))
        hands = Hands(client, view.cache, view.facts, drivers, crd(), finished=self.wakeups.mark)
        self.open.push_async_callback(hands.close)
        conditions = Conditions(client if writes else None, self.settings.kubernetes.namespace)
        self.open.push_async_callback(conditions.close)
        return World(view, hands, ledger, Planner(), Publisher([]), policy, conditions=conditions)

    def _reviewing(self, daemon: Daemon, source: GitSource) -> list[Channel]:
        """What tells on the forge; nothing where none is configured."""
        settings, world = self.settings, daemon.world
        if settings.forge is None:
            return []
        forge = connect(settings.forge)
        self.open.push_async_callback(forge.close)
        requests = Requests(source, _mirror(settings, "requests"))
        answers = Answers(
            requests, Outlook(daemon), self.catalogues, settings.cluster, settings.review.on_unknown
        )
        branch, poll = settings.source.branch, settings.review.poll_seconds
        review = self.review = Review(forge, answers, branch, poll, lambda: world.tells)
        ready = settings.review.ready_seconds
        rollout = RolloutChecks(forge, settings.cluster, ready, lambda: world.tells)

        def held() -> dict[str, str]:
            return world.ledger.held_since() if world.may_write else {}

        approvals = Approvals(forge, settings.cluster, held, daemon.acknowledge, settings.review)

        def on_revision(desired: Desired, changed: frozenset[WorkspaceId]) -> None:
            rollout.begin(desired, changed)
            review.look()

        daemon.on_revision = on_revision
        for each in (review, rollout, approvals):
            self._in_background(each.run)
        return [review, rollout, approvals]

    def _nudged(self, nudge: Nudge) -> None:
        """A webhook: go and look. What it says is not believed any further."""
        source = self.settings.source
        watched = ("", source.ref, f"refs/heads/{source.branch}")
        if nudge.number is None and nudge.ref in watched and self.source is not None:
            self.source.look()
        if not nudge.ref and self.review is not None:
            self.review.look()

    def _in_background(self, what: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.create_task(for_ever(what))

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
        url, key = status.url or source.url, status.signing_key_file
        return Branch(cache, url, ref, credentials, source.timeout_seconds, key)

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


def _hourly(view: View, policy: Policy) -> dict[str, float]:
    """$/h by instance type, for a scrape in another thread: the fleet is copied at once."""
    return {kind: policy.hourly({kind: count}) for kind, count in nodes_of(dict(view.fleet)).items()}


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
        before_sleep=lambda state: log.warning("waiting", error=str(_failure(state))),
    )
    async for attempt in attempts:
        with attempt:
            return await what()
    raise AssertionError("unreachable: attempts never end")


def _failure(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None
