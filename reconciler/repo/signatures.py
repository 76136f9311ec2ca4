"""Whose signature a commit carries, by the programs that know: `ssh-keygen` and `gpgv`."""

import hashlib
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from ..errors import NotPermitted, Unavailable
from .history import Signature

TIMEOUT_SECONDS = 10.0
"""Of one run of one program."""


@dataclass(frozen=True, slots=True)
class Signers:
    """Files of the keys that count: OpenSSH's ALLOWED SIGNERS, and a keyring of OpenPGP keys."""

    ssh: Path | None
    openpgp: Path | None

    def version(self) -> str:
        """Another one when the files hold something else. Raises NotPermitted where one cannot be read."""
        return hashlib.sha256(b"\0".join(map(_content, (self.ssh, self.openpgp)))).hexdigest()


def doubt(signature: Signature | None, signers: Signers) -> str | None:
    """Why a commit's signature does not count, as the end of a sentence about the commit; None: it does.

    Raises NotPermitted where a program or a file is missing, Unavailable where it takes too long.
    """
    if signature is None:
        return "is not signed"
    if signature.text.startswith(b"-----BEGIN SSH SIGNATURE-----"):
        good = signers.ssh is not None and _ssh_vouches(signature, signers.ssh)
    elif signature.text.startswith(b"-----BEGIN PGP SIGNATURE-----"):
        good = signers.openpgp is not None and _openpgp_vouches(signature, signers.openpgp)
    else:
        return "has a signature that is neither SSH's nor OpenPGP's"
    return None if good else "is signed by nobody who is allowed to, or was changed afterwards"


def signed(content: bytes, key: Path) -> str:
    """An SSH signature as Git makes it. Raises NotPermitted where the key cannot be used."""
    with tempfile.TemporaryDirectory(prefix="reconciler-ssh-") as folder:
        private = _private(Path(folder) / "key", _content(key))
        command = ("ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", str(private))
        found = _run(folder, *command, said=content)
        if found.returncode != 0:
            why = found.stderr.decode(errors="replace").strip().replace(str(private), str(key))
            raise NotPermitted(f"signingKeyFile {key} cannot be used: {why}")
        return found.stdout.decode()


def _ssh_vouches(signature: Signature, allowed: Path) -> bool:
    """As Git does it: each principal whose key it may be is tried, as of the commit's time."""
    at = time.strftime("%Y%m%d%H%M%S", time.gmtime(signature.time))
    with tempfile.TemporaryDirectory(prefix="reconciler-ssh-") as folder:
        text = _private(Path(folder) / "signature", signature.text)
        common = ("-f", str(allowed), "-s", str(text), f"-Overify-time={at}")
        found = _run(folder, "ssh-keygen", "-Y", "find-principals", *common)
        return found.returncode == 0 and any(
            _run(
                folder, "ssh-keygen", "-Y", "verify", "-n", "git", "-I", name, *common, said=signature.signed
            ).returncode
            == 0
            for name in found.stdout.decode(errors="replace").splitlines()
        )


def _openpgp_vouches(signature: Signature, keyring: Path) -> bool:
    """`gpgv` trusts every key of the keyring, expired ones too: which keys are in it is the policy."""
    if _content(keyring).startswith(b"-----BEGIN"):
        raise NotPermitted(f"keyringFile {keyring} is armoured; write it with `gpg --export` or --dearmor it")
    with tempfile.TemporaryDirectory(prefix="reconciler-gpg-") as folder:
        text = _private(Path(folder) / "signature", signature.text)
        keys = ("--homedir", folder, "--keyring", str(keyring.absolute()))
        done = _run(folder, "gpgv", "--status-fd", "1", *keys, str(text), "-", said=signature.signed)
        return done.returncode == 0 and b"[GNUPG:] VALIDSIG " in done.stdout


def _run(home: str, program: str, *arguments: str, said: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": home, "LC_ALL": "C", "TZ": "UTC"}
    try:
        return subprocess.run(
            [program, *arguments],
            input=said,
            capture_output=True,
            check=False,
            env=environment,
            timeout=TIMEOUT_SECONDS,
        )
    except FileNotFoundError:
        raise NotPermitted(f"the program {program} checks signatures of commits; install it") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{program} took longer than {TIMEOUT_SECONDS:g} s over a signature") from None


def _private(path: Path, content: bytes) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path


def _content(path: Path | None) -> bytes:
    try:
        return path.read_bytes() if path is not None else b""
    except OSError as error:
        raise NotPermitted(f"{path} cannot be read: {error.strerror}") from None
