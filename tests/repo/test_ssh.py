"""Reading and writing over SSH, against a real server: only known hosts and keys get through."""

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from plugins.git import Repository

from reconciler.errors import NotPermitted
from reconciler.model.settings import GitCredentials
from reconciler.repo.mirror import Mirror
from reconciler.repo.writer import Author, Branch

CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/client.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
"""


@dataclass
class Server:
    port: int
    folder: Path

    def url_of(self, path: Path) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{path}"

    def known_hosts(self, key: str) -> str:
        return f"[127.0.0.1]:{self.port} {(self.folder / f'{key}.pub').read_text()}"


@pytest.fixture
def ssh_server(tmp_path: Path) -> Iterator[Server]:
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None or shutil.which("ssh-keygen") is None:
        pytest.skip("no SSH server here; install openssh-server")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    folder = tmp_path / "ssh"
    folder.mkdir()
    for key in ("host", "client", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "config").write_text(CONFIG.format(folder=folder, port=port))
    with subprocess.Popen(
        [program, "-D", "-e", "-f", folder / "config"], stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stderr is not None
        said = [server.stderr.readline()]
        while said[-1] and "listening on" not in said[-1]:
            said.append(server.stderr.readline())
        assert said[-1], "".join(said)
        yield Server(port, folder)
        server.terminate()


def test_only_a_known_host_and_our_own_key_are_accepted(
    ssh_server: Server, remote: Repository, tmp_path: Path
):
    tip = remote.commit({"a": "1"})
    hosts = tmp_path / "known_hosts"
    credentials = GitCredentials(ssh_key_file=ssh_server.folder / "client", known_hosts_file=hosts)
    mirror = Mirror(tmp_path / "cache", ssh_server.url_of(remote.path), "main", credentials, 10)

    with pytest.raises(NotPermitted, match="known_hosts cannot be read"):
        mirror.fetch()
    hosts.write_text("")
    with pytest.raises(NotPermitted, match="knownHostsFile"):
        mirror.fetch()
    hosts.write_text(ssh_server.known_hosts("stranger"))
    with pytest.raises(NotPermitted, match="knownHostsFile"):
        mirror.fetch()
    hosts.write_text(ssh_server.known_hosts("host"))
    assert mirror.fetch() == tip

    stranger = credentials.model_copy(update={"ssh_key_file": ssh_server.folder / "stranger"})
    with pytest.raises(NotPermitted, match="sshKeyFile"):
        Mirror(tmp_path / "cache2", ssh_server.url_of(remote.path), "main", stranger, 10).fetch()

    status = Branch(tmp_path / "cache3", ssh_server.url_of(remote.path), "status", credentials, 10)
    sha = status.commit(status.fetch(), None, {"x": b"1"}, "Status", Author("bot", "bot@example.com"), 1)
    status.push(sha, None)
    assert remote.ref("refs/heads/status") == sha
