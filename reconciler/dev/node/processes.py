"""Containers as local processes."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from asyncio.subprocess import Process as Child
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from reconciler.dev.clock import Pace
from reconciler.dev.logs import Log
from reconciler.errors import InvalidSpec

from .images import Image
from .mounts import Root
from .probes import Actions, watch
from .runtime import Exited, NotStarted, Report, Running, Runtime, Work
from .sources import environment, expand

SUPERVISOR = Path(__file__).parents[1] / "supervisor.py"
LONGEST_MESSAGE = 4096
"""Bytes of a termination message; half of it, or 80 lines, where the log stands in for it."""


def process_runtimes(table: Sequence[Image], folder: Path, pace: Pace) -> list[tuple[str, Runtime]]:
    """One for each row; what an earlier cluster left of its pods under `folder` is removed."""
    if table and sys.platform != "linux":
        raise InvalidSpec("containers run as processes on Linux only; leave the image table out")
    shutil.rmtree(folder / "pods", ignore_errors=True)
    return [(row.image, ProcessRuntime(row, folder.resolve(), pace)) for row in table]


class ProcessRuntime(Runtime):
    """Runs what one row of the image table selects."""

    local = True

    def __init__(self, image: Image, folder: Path, pace: Pace) -> None:
        self.note = image.note
        self._image = image
        self._folder = folder
        self._pace = pace

    def start(self, work: Work, report: Report) -> "Container":
        try:
            root = Root(self._folder, work)
            return Container(Program(self._image, work, root), work, report, self._pace)
        except OSError as error:
            raise NotStarted("CreateContainerError", str(error)) from None

    def forget(self, pod_uid: str) -> None:
        shutil.rmtree(self._folder / "pods" / pod_uid, ignore_errors=True)


class Program:
    """What an image and a container make together, every path as it is on this machine."""

    def __init__(self, image: Image, work: Work, root: Root) -> None:
        self.root = root
        container, ip = work.container, work.place.pod_ip
        declared = environment(work)
        own = {
            name: [root.here(expand(text, declared)) for text in container.get(name) or ()]
            for name in ("command", "args")
        }
        args = own["args"] if own["command"] or own["args"] else image.args
        told = [image.host_argument, ip] if image.host_argument else []
        self.command = [*(own["command"] or image.command), *args, *told]
        path = os.pathsep.join([*image.programs(), os.environ.get("PATH", os.defpath)])
        env = {"PATH": path, "LANG": "C.UTF-8", "HOSTNAME": work.pod["metadata"]["name"], "POD_IP": ip}
        env |= {"HOME": str(root.path), "TMPDIR": str(root.at("tmp")), "RECONCILER_ROOT": str(root.path)}
        env |= {"RECONCILER_TERMINATION_LOG": str(root.message_file)} | image.env
        env |= {image.host_env: ip} if image.host_env else {}
        self.env = env | {name: root.here(value) for name, value in declared.items()}
        self.folder = image.working_dir or root.path
        if asked := container.get("workingDir"):
            self.folder = root.at(asked)
            self.folder.mkdir(parents=True, exist_ok=True)

    async def start(self) -> Child:
        """Raises OSError in the words of container runtimes where the program cannot be run."""
        program = self.command[0]
        named = "/" not in program
        path = program if named else str(self.folder / program)
        if shutil.which(path, path=self.env["PATH"]):
            return await self._spawn(self.command)
        absent = "permission denied" if os.path.exists(path) else f"stat {program}: no such file or directory"
        raise OSError(f'exec: "{program}": {"executable file not found in $PATH" if named else absent}')

    async def _spawn(self, command: Sequence[str]) -> Child:
        supervised = [sys.executable, "-I", "-S", str(SUPERVISOR), str(os.getpid()), *command]
        where: dict[str, Any] = {"cwd": self.folder, "env": self.env, "start_new_session": True}
        return await asyncio.create_subprocess_exec(
            *supervised, **where, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
        )

    async def execute(self, command: Sequence[str]) -> tuple[int, str]:
        """A probe's or hook's command; killed where the caller gives up."""
        child = await self._spawn(command)
        try:
            output, _ = await child.communicate()
            return child.returncode or 0, output.decode(errors="replace")
        finally:
            if child.returncode is None:
                child.send_signal(signal.SIGUSR1)
                await child.wait()


class Container:
    """One run of one container."""

    def __init__(self, program: Program, work: Work, report: Report, pace: Pace) -> None:
        ports = {p["name"]: p["containerPort"] for p in work.container.get("ports") or [] if "name" in p}
        self._actions = Actions(work.place.pod_ip, ports, program.execute)
        self._actions.check(work.container)
        self._program = program
        self._work = work
        self._report = report
        self._pace = pace
        self._child: Child | None = None
        self._stopping = False
        self._signal: signal.Signals | None = None
        self._why_killed = ""
        self.log = Log(TemporaryFile(dir=program.root.path.parent))  # noqa: SIM115
        self._tasks = [asyncio.create_task(self._run())]

    async def _run(self) -> None:
        try:
            ended = await self._until_exit()
        except (OSError, ValueError) as error:  # such as a null byte in an argument
            self._report(Running())
            ended = Exited(128, "StartError", str(error))
        for task in self._tasks[1:]:
            task.cancel()
        await asyncio.gather(*self._tasks[1:], return_exceptions=True)
        self.log.end(self._pace.now())
        self._report(ended)

    async def _until_exit(self) -> Exited:
        """Raises OSError where the program cannot be started."""
        child = self._child = await self._program.start()
        if self._signal:
            self._send(self._signal)
        watching = watch(self._work.container, self._actions, self._report, self._probed)
        self._tasks.append(asyncio.create_task(watching))
        assert child.stdout is not None
        while said := await child.stdout.read(1 << 16):
            self.log.write(self._pace.now(), said)
        code = await child.wait()
        return Exited(code, "", self._message(code) or self._why_killed)

    def _message(self, code: int) -> str:
        with contextlib.suppress(OSError):
            if said := self._program.root.message_file.read_bytes()[-LONGEST_MESSAGE:]:
                return said.decode(errors="replace")
        if code and self._work.container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            return self.log.tail(80, LONGEST_MESSAGE // 2)
        return ""

    def _probed(self, probe: str, why: str) -> None:
        if why:
            self._why_killed = f"{probe} probe failed: {why}"
            self.stop(float(self._work.pod["spec"].get("terminationGracePeriodSeconds", 30)))

    def stop(self, grace_seconds: float) -> None:
        if grace_seconds <= 0:
            self._send(signal.SIGUSR1)
        elif not self._stopping:
            self._tasks.append(asyncio.create_task(self._end(grace_seconds)))
        self._stopping = True

    async def _end(self, grace_seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                if hook := (self._work.container.get("lifecycle") or {}).get("preStop"):
                    why = await self._actions.run(hook, grace_seconds)
                    self.log.write(self._pace.now(), f"preStop failed: {why}\n".encode() if why else b"")
                self._send(signal.SIGTERM)
                await asyncio.sleep(grace_seconds)
        self._send(signal.SIGUSR1)

    def _send(self, number: signal.Signals) -> None:
        """To the supervisor; kept where it is not there yet."""
        if self._signal is not signal.SIGUSR1:
            self._signal = number
        if self._child and self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._child.send_signal(self._signal)
