"""Probes and lifecycle hooks of a container that is a local process."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

import aiohttp

from reconciler.model.world import Manifest

from .runtime import NotStarted, Running

ACTIONS = ("httpGet", "tcpSocket", "exec")
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


@dataclass(frozen=True, slots=True)
class Actions:
    """What probes and hooks do to one container. `execute` gives a command's exit code and output."""

    host: str
    ports: Mapping[int | str, int]
    execute: Callable[[Sequence[str]], Awaitable[tuple[int, str]]]

    async def run(self, action: Manifest, seconds: float) -> str:
        """Why it failed; empty where it did not."""
        try:
            async with asyncio.timeout(seconds):
                return await self._run(action)
        except TimeoutError:
            return f"no answer within {seconds:g} s"
        except (OSError, ValueError, aiohttp.ClientError) as why:
            return str(why)

    async def _run(self, action: Manifest) -> str:
        if "exec" in action:
            code, output = await self.execute(action["exec"]["command"])
            return f"command ended with status {code}: {output.strip()}" if code else ""
        target = action.get("httpGet") or action["tcpSocket"]
        host, port = target.get("host") or self.host, self.ports.get(target["port"], target["port"])
        if "tcpSocket" in action:
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            return ""
        url = f"{target.get('scheme', 'HTTP').lower()}://{host}:{port}/{target.get('path', '').lstrip('/')}"
        headers = {each["name"]: each["value"] for each in target.get("httpHeaders") or []}
        async with aiohttp.request("GET", url, headers=headers, ssl=False, allow_redirects=False) as answer:
            return "" if 200 <= answer.status < 400 else f"HTTP probe failed with statuscode: {answer.status}"

    def check(self, container: Manifest) -> None:
        """Raises NotStarted for probes and hooks that cannot be run."""
        if "restartPolicy" in container:
            raise NotStarted("CreateContainerError", "an init container's restartPolicy is refused")
        given = {name: container[name] for name in PROBES if name in container}
        for name, action in (given | (container.get("lifecycle") or {})).items():
            kind = next((each for each in ACTIONS if each in action), "")
            port = action[kind].get("port", 0) if kind else ""
            if name == "postStart" or not (port in self.ports or str(port).isdigit()):
                told = f"{name} cannot be run: only httpGet, tcpSocket and exec at known ports, no postStart"
                raise NotStarted("CreateContainerError", told)


async def watch(
    container: Manifest, actions: Actions, report: Callable[[Running], None], told: Callable[[str, str], None]
) -> None:
    """Probes until cancelled, startup first; `told` hears which other probe turned, and why it failed."""
    if startup := container.get("startupProbe"):
        report(Running(started=False))
        async with aclosing(_turns(startup, actions)) as turns:
            if why := await anext(turns):
                told("Startup", why)
                return
    readiness, liveness = container.get("readinessProbe"), container.get("livenessProbe")
    report(Running(ready=readiness is None))
    async with asyncio.TaskGroup() as group:
        group.create_task(_follow(readiness, actions, lambda why: report(Running(ready=not why))))
        group.create_task(_follow(liveness, actions, partial(told, "Liveness")))


async def _follow(probe: Manifest | None, actions: Actions, heed: Callable[[str], None]) -> None:
    if probe:
        async for why in _turns(probe, actions):
            heed(why)


async def _turns(probe: Manifest, actions: Actions) -> AsyncGenerator[str, None]:
    """Whenever enough tries in a row say something new: why it failed, or nothing for success."""
    told: bool | None = None
    last, times = False, 0
    await asyncio.sleep(probe.get("initialDelaySeconds", 0))
    while True:
        why = await actions.run(probe, probe.get("timeoutSeconds", 1))
        success = not why
        last, times = success, times + 1 if success is last else 1
        needed = probe.get("successThreshold", 1) if success else probe.get("failureThreshold", 3)
        if times >= needed and told is not success:
            told = success
            yield why
        await asyncio.sleep(probe.get("periodSeconds", 10))
