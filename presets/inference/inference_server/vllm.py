"""Serves with vLLM: `vllm serve` as a child on loopback, a proxy with Kaito's `/chat` in front of it.

The container lives as long as the child does. On SIGTERM the proxy takes no more requests, lets running ones
end for `limits.drainSeconds`, then passes the signal on.
"""

import asyncio
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path

import httpx
import uvicorn
from artifacts import report
from artifacts.errors import ErrorClass, RuntimeFailure

from . import vllm_adapters, vllm_arguments, vllm_front, vllm_options
from .settings import Settings, location

LOG = logging.getLogger(__name__)
STOP_SECONDS = 15.0
"""The child has these after SIGTERM, then it is killed."""
OUTPUT_SECONDS = 5.0
"""For the rest of its output, should another process still hold it open."""
TAIL_BYTES = 16 * 1024
"""Of the child's output, kept to tell why it ended."""
_MEMORY = ("out of memory", "No available memory", "KV cache is needed", "less than desired GPU memory")
_ARGUMENTS = 2
"""What argparse exits with."""


def run(settings: Settings, host: str) -> int:
    """Serves until a signal or the child's end; the exit code, whose reason is reported."""
    try:
        with tempfile.TemporaryDirectory(prefix="adapters-") as work:
            return asyncio.run(_run(settings, host, Path(work)))
    except RuntimeFailure as failure:
        return report.fail(failure)


async def _run(settings: Settings, host: str, work: Path) -> int:
    user = vllm_options.read(location().with_name(vllm_options.NAME))
    model = vllm_arguments.served_name(settings, user)
    modules = vllm_adapters.prepare(settings.adapters, work)
    port = _free_port()
    child = await _start(vllm_arguments.arguments(settings, modules, user, port))
    chats = modules[0].name if modules else model
    LOG.info("/chat is answered by %s%s", chats, "; vLLM combines no adapters" if len(modules) > 1 else "")
    tail = asyncio.create_task(_forward(child))
    try:
        await _serve(settings, host, f"http://127.0.0.1:{port}", chats, child)
        asked = child.returncode is None
    finally:
        code = await _stop(child)
    await asyncio.wait((tail,), timeout=OUTPUT_SECONDS)
    return 0 if asked else _ended(code, tail.result() if tail.done() else "")


async def _start(arguments: list[str]) -> asyncio.subprocess.Process:
    program = shutil.which("vllm")
    if program is None:
        remedy = "build the image's target vllm, or choose the runtime transformers"
        raise RuntimeFailure("BadConfig", "this image has no vLLM", remedy)
    LOG.info("vllm serve %s", " ".join(arguments))
    # A session of its own: signals of a terminal reach it through us alone.
    return await asyncio.create_subprocess_exec(
        program, "serve", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


async def _serve(
    settings: Settings, host: str, url: str, model: str, child: asyncio.subprocess.Process
) -> None:
    """Returns after a signal's drain, or when the child has ended."""
    limits = settings.limits
    timeout = httpx.Timeout(limits.request_seconds, connect=5.0, pool=None)
    connections = httpx.Limits(max_connections=None, max_keepalive_connections=64)
    async with httpx.AsyncClient(
        base_url=url, timeout=timeout, limits=connections, trust_env=False
    ) as client:
        config = uvicorn.Config(
            vllm_front.app(client, model, limits),
            host=host,
            port=settings.port,
            log_level="warning",
            timeout_graceful_shutdown=max(1, round(limits.drain_seconds)),
        )
        server = uvicorn.Server(config)
        # uvicorn raises the signal again after its shutdown; by then it has been obeyed.
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, lambda *_: None)
        watch = asyncio.create_task(_watch(child, server))
        try:
            await server.serve()
        finally:
            watch.cancel()


async def _watch(child: asyncio.subprocess.Process, server: uvicorn.Server) -> None:
    await child.wait()
    server.should_exit = True


async def _stop(child: asyncio.subprocess.Process) -> int:
    """vLLM's own children are in its process group and do not outlive it."""
    if child.returncode is None:
        child.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await child.wait()
    except TimeoutError:
        LOG.warning("vLLM did not stop in %g s: killed", STOP_SECONDS)
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        LOG.debug("none is left")
    return await child.wait()


async def _forward(child: asyncio.subprocess.Process) -> str:
    """Passes the child's output on; its last part."""
    assert child.stdout is not None
    tail = b""
    while chunk := await child.stdout.read(64 * 1024):
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        tail = (tail + chunk)[-TAIL_BYTES:]
    return tail.decode(errors="replace")


def _ended(code: int, output: str) -> int:
    """Reports why the child ended by itself; its exit code, or what a shell makes of its signal, never 0."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    failure = _failure(code, lines)
    report.fail(failure)
    return 128 - code if code < 0 else code or 1


def _failure(code: int, lines: list[str]) -> RuntimeFailure:
    last = next((line for line in reversed(lines) if "rror" in line), lines[-1] if lines else "no output")
    if found := [line for line in lines if any(mark in line for mark in _MEMORY)]:
        remedy = (
            "lower gpu-memory-utilization or max-model-len in inference_config.yaml, or take a larger node"
        )
        return _told("OutOfMemory", code, found[0], remedy)
    if code == -signal.SIGKILL:
        return _told("OutOfMemory", code, last, "give the pod more memory")
    if code == _ARGUMENTS:
        return _told(
            "BadConfig", code, last, "correct inference_config.yaml; `vllm serve --help` lists options"
        )
    return _told("Bug", code, last, "see the log above")


def _told(error_class: ErrorClass, code: int, line: str, remedy: str) -> RuntimeFailure:
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return RuntimeFailure(error_class, f"vLLM ended with {how}: {line}", remedy, retry=code != _ARGUMENTS)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
