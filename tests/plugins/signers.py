"""People with keys, and Git signing with them: real `ssh-keygen` and `gpg`."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .git import Repository


@dataclass
class SshSigner:
    """Somebody with an SSH key."""

    name: str
    key: Path

    @property
    def line(self) -> str:
        """The line of an allowed signers file."""
        return f'{self.name}@example.com namespaces="git" {self.key.with_suffix(".pub").read_text()}'

    def sign_in(self, remote: Repository) -> None:
        """All that is committed from now on is signed."""
        remote.git("config", "gpg.format", "ssh")
        remote.git("config", "user.signingkey", str(self.key))
        remote.git("config", "commit.gpgsign", "true")


def sign_nothing(remote: Repository) -> None:
    remote.git("config", "commit.gpgsign", "false")


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"the program `{program}` is not installed")


@pytest.fixture
def ada(tmp_path: Path) -> SshSigner:
    return _ssh_signer("ada", tmp_path)


@pytest.fixture
def mallory(tmp_path: Path) -> SshSigner:
    return _ssh_signer("mallory", tmp_path)


def _ssh_signer(name: str, folder: Path) -> SshSigner:
    needs("ssh-keygen")
    key = folder / f"{name}-key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", key], check=True)
    return SshSigner(name, key)


@dataclass
class GpgSigner:
    """Somebody with an OpenPGP key, whose home Git's own `gpg` uses."""

    name: str
    home: Path

    def sign_in(self, remote: Repository) -> None:
        remote.git("config", "gpg.format", "openpgp")
        remote.git("config", "user.signingkey", f"{self.name}@example.com")
        remote.git("config", "commit.gpgsign", "true")

    def export(self, *options: str) -> bytes:
        address = f"{self.name}@example.com"
        return self.gpg(*options, "--export", address)

    def gpg(self, *arguments: str) -> bytes:
        command = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", *arguments]
        return subprocess.run(command, check=True, capture_output=True).stdout


@pytest.fixture
def gpg_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    needs("gpg", "gpgv", "gpgconf")
    with tempfile.TemporaryDirectory(prefix="gpg-") as folder:  # short: it holds the agent's socket
        monkeypatch.setenv("GNUPGHOME", folder)
        yield Path(folder)
        subprocess.run(["gpgconf", "--homedir", folder, "--kill", "all"], check=True)


@pytest.fixture
def grace(gpg_home: Path) -> GpgSigner:
    return _gpg_signer("grace", gpg_home)


@pytest.fixture
def eve(gpg_home: Path) -> GpgSigner:
    return _gpg_signer("eve", gpg_home)


def _gpg_signer(name: str, home: Path) -> GpgSigner:
    signer = GpgSigner(name, home)
    signer.gpg("--passphrase", "", "--quick-generate-key", f"{name}@example.com", "ed25519", "sign", "never")
    return signer
