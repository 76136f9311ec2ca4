"""`reconciler dev …`: a development cluster on this machine, started alone."""

import asyncio
import os
import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InvalidSpec
from .options import Verbose
from .output import complain, reported, say, say_table

if TYPE_CHECKING:
    from ..dev.runtimes.models import Model

NOT_RUNNING = 3
"""Exit status of `status` where nothing runs, as of `systemctl status`."""

Folder = Annotated[Path, typer.Option("--dir", help="Where the cluster keeps its files.")]
File = typer.Option(exists=True, dir_okay=False, resolve_path=True, show_default=False)
Given = Annotated[Path | None, File]
Wanted = Annotated[str, typer.Argument(metavar="[NAMESPACE/]SERVICE[:PORT]", show_default=False)]

app = typer.Typer(name="dev", help="A development cluster on this machine.", no_args_is_help=True)


@app.command()
@reported
def up(
    folder: Folder = Path(".dev"),
    persist: Annotated[
        bool, typer.Option("--persist", help="Keep everything, and go on with what is kept.")
    ] = False,
    tls: Annotated[bool, typer.Option("--tls", help="The API server speaks TLS.")] = False,
    fast: Annotated[bool, typer.Option("--fast", help="Simulated things take no time.")] = False,
    faults: Given = None,
    images: Given = None,
    model: Annotated[
        str,
        typer.Option("--model", help="Our runtime images do real work, with this model: tiny or smollm2."),
    ] = "",
    verbose: Verbose = False,
) -> None:
    """Start a development cluster in the background: eval "$(reconciler dev up)".

    Prints the shell command that points kubectl at it, and nothing else. Where it is up already, that is all.
    """
    from ..dev.home import running

    root = folder.resolve()
    at = running(root)
    if at is not None:
        complain(f"up already (pid {at.pid}), with the options it was started with")
    else:
        from ..dev.process import WorldProcess

        flags = {"--persist": persist, "--tls": tls, "--fast": fast}
        arguments = [flag for flag, given in flags.items() if given]
        arguments += ["--faults", str(faults)] if faults else []
        arguments += ["--images", str(images)] if images else []
        arguments += ["--runtime", str(_runtime(known(model), root))] if model else []
        at = asyncio.run(WorldProcess(root, arguments, detached=True).start())
        complain(f"up (pid {at.pid}): API server {at.apiserver}, cloud {at.cloud}, registry {at.registry}")
    say(f"export KUBECONFIG={shlex.quote(at.kubeconfig)}")


def _runtime(model: "Model", root: Path) -> Path:
    from ..dev.runtimes.models import prepare

    root.mkdir(parents=True, exist_ok=True)
    path = root / "runtime.json"
    prepare(model, complain).write(path)
    return path


def known(model: str) -> "Model":
    from ..dev.runtimes.models import MODELS

    for each in MODELS:
        if each == model:
            return each
    raise InvalidSpec(f"there is no stand-in model {model!r}; there are {' and '.join(MODELS)}")


@app.command("model")
@reported
def make_model(
    model: Annotated[str, typer.Argument(help="tiny or smollm2.", show_default=False)],
    folder: Annotated[Path | None, typer.Option("--dir", help="By default beside the environment.")] = None,
    verbose: Verbose = False,
) -> None:
    """Make a small model without a hub; prints its folder.

    `tiny` is a Phi-3 model that was trained to say that it does not know, `smollm2` a real one of 135 M
    parameters. Both are kept, and the environment that runs them.
    """
    from ..dev.runtimes import environment, models

    wanted = known(model)
    say(str(models.weights(wanted, environment.prepare(complain), complain, folder)))


@app.command()
@reported
def runtime(verbose: Verbose = False) -> None:
    """Make the environment in which runtime images do real work here; prints its python."""
    from ..dev.runtimes import environment

    say(str(environment.prepare(complain)))


@app.command()
@reported
def down(folder: Folder = Path(".dev"), verbose: Verbose = False) -> None:
    """End the development cluster and everything that runs in it."""
    from ..dev.process import end

    complain("down" if end(folder.resolve()) else "it was not up")


@app.command()
@reported
def status(folder: Folder = Path(".dev"), verbose: Verbose = False) -> None:
    """Say whether it is up, where, and what is in it. Exit status: 0 when up, 3 when not."""
    from ..dev.home import WORLD_FILE, last_words, running

    root = folder.resolve()
    at = running(root)
    if at is None:
        say(f"down: no development cluster runs in {folder}")
        if (root / WORLD_FILE).exists():
            complain("\n".join(["it was killed or crashed; its last words:", *last_words(root)]))
        raise typer.Exit(NOT_RUNNING)
    say(f"up (pid {at.pid})")
    counted = asyncio.run(_counts(Path(at.kubeconfig)))
    rows = [("API server", at.apiserver), ("cloud", at.cloud), ("registry", at.registry), ("Git", at.git)]
    say_table(("", ""), [*rows, ("kubeconfig", at.kubeconfig), *counted])


async def _counts(kubeconfig: Path) -> list[tuple[str, str]]:
    from ..cluster.client import Client
    from ..model.settings import ClusterSettings

    client = await Client.connect(ClusterSettings(kubeconfig=kubeconfig), user_agent="reconciler-dev")
    try:
        kinds = {"nodes": "Node", "pods": "Pod", "services": "Service"}
        return [
            (told, str(len((await client.list(kind, metadata_only=True))[0]))) for told, kind in kinds.items()
        ]
    finally:
        await client.close()


@app.command()
@reported
def proxy(service: Wanted, folder: Folder = Path(".dev"), verbose: Verbose = False) -> None:
    """Make a Service's port reachable from this machine until Ctrl-C; prints the address.

    Connections go to ready pods that run as local processes; nothing listens in simulated ones. The
    cluster is the one in --dir, or else the one of KUBECONFIG.
    """
    from ..dev.home import running

    at = running(folder.resolve())
    kubeconfig = at.kubeconfig if at else os.environ.get("KUBECONFIG", "")
    asyncio.run(_proxy(service, Path(kubeconfig) if kubeconfig else None))


async def _proxy(service: str, kubeconfig: Path | None) -> None:
    from ..cluster.client import Client
    from ..dev.proxy import ServiceProxy
    from ..model.names import ObjectKey
    from ..model.settings import ClusterSettings

    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    name, _, port = service.partition(":")
    namespace, _, name = name.rpartition("/")
    client = await Client.connect(ClusterSettings(kubeconfig=kubeconfig), user_agent="reconciler-dev")
    passing = ServiceProxy(client, ObjectKey("Service", namespace or "default", name), port, complain)
    try:
        say(await passing.start())
        await asked.wait()
    finally:
        await passing.stop()
        await client.close()
