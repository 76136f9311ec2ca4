"""What every command has in common: exit statuses and one clear line for each error."""

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.cli.output import BROKEN_PIPE
from reconciler.errors import Unavailable

BROKEN = {
    "a settings file that is missing": (
        "run --config {tmp}/none.yaml",
        "none.yaml: no such file or directory",
    ),
    "a folder that is missing": ("plan {tmp}/none", "none: no such file or directory"),
    "neither folder nor settings": ("plan", "name a folder of specs, or the daemon's settings with --config"),
    "a kubeconfig that is missing": ("status", "kubeconfig"),
    "a status ref without its name": ("status --status-url {tmp}", "--status-url needs --ref"),
    "a repository that is missing": ("status --status-url {tmp}/none --ref s", "none"),
    "a short commit": ("wait --commit abc --status-url x --ref s", "give at least 7 digits"),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_an_error_is_one_line_and_status_1(cli, tmp_path, case):
    command, said = BROKEN[case]
    outcome = await cli(*command.format(tmp=tmp_path).split())
    assert outcome.code == 1
    assert outcome.err.startswith("error: ") and outcome.err.count("\n") == 1
    assert said in outcome.err


async def test_an_unreachable_cluster_is_one_line(cli, settings, tmp_path):
    (tmp_path / "kubeconfig").write_text(
        "{apiVersion: v1, kind: Config, current-context: c, users: [{name: u, user: {token: t}}],"
        " clusters: [{name: c, cluster: {server: 'http://127.0.0.1:9'}}],"
        " contexts: [{name: c, context: {cluster: c, user: u}}]}"
    )
    outcome = await cli("status", "--config", settings())
    assert outcome.code == 1
    assert outcome.err.startswith("error: list workspaces") and outcome.err.count("\n") == 1


WRONG = {
    "an unknown option": ("plan --frobnicate", "No such option: --frobnicate; see reconciler plan --help"),
    "an unknown command": ("frobnicate", "No such command 'frobnicate'; see reconciler --help"),
    "a duration without unit": ("suspend w --for 2 --why x", "'2' is no duration; write it as 90s, 30m"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_wrong_usage_is_status_64_so_that_2_always_means_changes(cli, case):
    command, said = WRONG[case]
    outcome = await cli(*command.split())
    assert outcome.code == 64
    assert said in outcome.err and outcome.err.count("\n") == 1


async def test_help_names_every_command(cli):
    outcome = await cli()
    assert outcome.code == 0
    for name in ("run", "plan", "validate", "status", "why", "wait", "ack", "suspend", "resume", "version"):
        assert f" {name} " in outcome.out


async def test_verbose_shows_where_an_error_came_from(cli, tmp_path):
    with pytest.raises(Unavailable, match="no such file"):
        await cli("plan", tmp_path / "none", "-v")


async def test_a_daemon_that_cannot_start_says_why_in_one_line(settings):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = settings(web={"host": "127.0.0.1", "port": port})
        code, err = await daemon(config)
    assert code == 1
    assert f"error: web.port: 127.0.0.1:{port} is taken by another program" in err and err.count("\n") == 1


async def test_a_daemon_without_a_usable_kubeconfig_ends_with_one_line(settings, tmp_path):
    code, err = await daemon(settings(web={"host": "127.0.0.1", "port": 0}))
    assert code == 1
    assert err.startswith("error: ") and str(tmp_path / "kubeconfig") in err and err.count("\n") == 1


async def daemon(config: Path) -> tuple[int, str]:
    """Status and stderr of a daemon that ends by itself."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "reconciler", "run", "--config", str(config),
        stderr=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    async with asyncio.timeout(60):
        _, err = await process.communicate()
    return process.returncode or 0, err.decode()


def test_a_reader_that_goes_away_is_no_error():
    """As with `reconciler presets | head -1`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "presets"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait() == BROKEN_PIPE
