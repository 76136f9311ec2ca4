"""A stand-in of GitHub with one repository, for daemons and commands that post there."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.dev.forge.github import GitHubServer

REPOSITORY, TOKEN = "org/specs", "a-token-of-the-forge"


@pytest.fixture
async def forge() -> AsyncIterator[GitHubServer]:
    server = GitHubServer(REPOSITORY, {TOKEN: "reconciler-bot"})
    await server.start()
    yield server
    await server.stop()


def login(forge: GitHubServer, folder: Path) -> dict[str, str]:
    """Settings for it; the token is in a file in `folder`."""
    token = folder / "token"
    token.write_text(TOKEN)
    return {"driver": "github", "url": forge.url, "repository": REPOSITORY, "tokenFile": str(token)}


def webhook(folder: Path) -> dict[str, Any]:
    """Settings of an endpoint for its webhooks, which `deliver` sends."""
    secret = folder / "hook"
    secret.write_text(TOKEN)
    return {"provider": "github", "path": "/hooks/github", "secretFile": str(secret)}


async def deliver(port: int, event: str, payload: dict[str, Any]) -> int:
    """As GitHub sends it; the status of the answer."""
    body = json.dumps(payload).encode()
    signature = "sha256=" + hmac.new(TOKEN.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-GitHub-Event": event, "X-Hub-Signature-256": signature}
    async with httpx.AsyncClient() as http:
        url = f"http://127.0.0.1:{port}/hooks/github"
        return (await http.post(url, content=body, headers=headers)).status_code


def checks(forge: GitHubServer, sha: str) -> dict[str, tuple[str, str]]:
    """State and description by context, the newest of each."""
    return {s["context"]: (s["state"], s["description"]) for s in forge.statuses.get(sha, [])}
