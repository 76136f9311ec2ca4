"""Logging in to Git servers, and which servers are trusted.

libgit2 keeps trust and time limits for the whole process, so the files of all repositories are
joined: known hosts in one private home directory, certificate authorities in one store. Both name
the hosts they speak for, so joining them grants nothing new. Nobody's own Git configuration counts.
"""

import atexit
import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pygit2
from pygit2.enums import ConfigLevel, CredentialType

from ..errors import NotPermitted
from ..model.settings import GitCredentials, GitHubAppForGit
from ..telemetry import register_secret

if TYPE_CHECKING:
    from . import github_app

APP_USERNAME = "x-access-token"
"""The user whose password an App's token is, for Git (GitHub)."""
_LOCK = threading.Lock()
_KNOWN_HOSTS: dict[Path, str] = {}
"""What each file said when a repository that names it was last used."""
_AUTHORITIES: set[tuple[Path, int]] = set()
_HOME: list[Path] = []


def login(credentials: GitCredentials, user: str | None, allowed: CredentialType) -> Any:
    """What to answer a server that asks; files are read now, so a rotated secret counts at once."""
    name = user or credentials.username
    if allowed & (CredentialType.SSH_MEMORY | CredentialType.SSH_KEY):
        if credentials.ssh_key_file is None:
            raise NotPermitted("the server asks for an SSH key; set sshKeyFile")
        return pygit2.KeypairFromMemory(name, None, _secret(credentials.ssh_key_file) + "\n", "")
    if allowed & CredentialType.USERNAME:
        return pygit2.Username(name)
    if credentials.github_app is not None:
        return pygit2.UserPass(APP_USERNAME, _installation(credentials, credentials.github_app).get())
    if credentials.token_file is None:
        raise NotPermitted("the server asks for a password; set tokenFile")
    return pygit2.UserPass(credentials.username, _token(credentials.token_file))


def headers(credentials: GitCredentials) -> list[str]:
    """What every request carries from the start: a bearer token is never asked for."""
    if credentials.bearer_token_file is None:
        return []
    return [f"Authorization: Bearer {_token(credentials.bearer_token_file)}"]


def refused(credentials: GitCredentials, url: str) -> NotPermitted:
    """What to raise where a server asks again: a token that was kept is not used again."""
    if credentials.github_app is not None:
        _installation(credentials, credentials.github_app).forget()
    return NotPermitted(f"{url}: the login was refused; check {credentials.login}")


def prepare(credentials: GitCredentials, timeout: float) -> None:
    """Sets the process up for one network operation; `timeout` limits a connect and each read."""
    milliseconds = max(1, int(timeout * 1000))
    with _LOCK:
        pygit2.settings.server_connect_timeout = milliseconds
        pygit2.settings.server_timeout = milliseconds
        home = _home()
        if credentials.known_hosts_file is not None:
            _KNOWN_HOSTS[credentials.known_hosts_file] = _secret(credentials.known_hosts_file)
            _write_known_hosts(home)
        if credentials.ca_file is not None:
            _trust_authority(credentials.ca_file)


def isolate() -> None:
    """Makes libgit2 read no configuration but each repository's own."""
    with _LOCK:
        _home()


def _home() -> Path:
    if not _HOME:
        home = Path(tempfile.mkdtemp(prefix="reconciler-git-"))
        atexit.register(shutil.rmtree, home, ignore_errors=True)
        (home / ".ssh").mkdir(mode=0o700)
        pygit2.settings.homedir = str(home)
        for level in (ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL):
            pygit2.settings.search_path[level] = str(home)
        _HOME.append(home)
    return _HOME[0]


def _write_known_hosts(home: Path) -> None:
    text = "".join(f"{hosts}\n" for hosts in _KNOWN_HOSTS.values())
    target = home / ".ssh" / "known_hosts"
    if not target.exists() or target.read_text() != text:
        fresh = target.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(target)


def _trust_authority(path: Path) -> None:
    try:
        version = (path, path.stat().st_mtime_ns)
        if version not in _AUTHORITIES:
            pygit2.settings.set_ssl_cert_locations(str(path), None)
            _AUTHORITIES.add(version)
    except (OSError, pygit2.GitError) as error:
        raise NotPermitted(f"caFile {path} cannot be used: {error}") from None


def _installation(credentials: GitCredentials, app: GitHubAppForGit) -> "github_app.InstallationToken":
    """An HTTP client is loaded only where an App logs in."""
    from . import github_app

    return github_app.installation_token(app, credentials.ca_file, credentials.proxy)


def _token(path: Path) -> str:
    token = _secret(path)
    register_secret(token)
    return token


def _secret(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise NotPermitted(f"{path} cannot be read: {error.strerror}") from None
