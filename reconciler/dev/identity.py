"""What clients of a development world remember, its token and its ports, so that a restart keeps both."""

import errno
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import Unavailable


def _new_token() -> str:
    return secrets.token_urlsafe(24)


@dataclass
class Identity:
    """Kept in the file `path`, which only its owner can read; None: new each time."""

    path: Path | None
    token: str = field(default_factory=_new_token)
    ports: dict[str, int] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path | None) -> "Identity":
        if path is None or not path.exists():
            return cls(path)
        return cls(path, **json.loads(path.read_text()))

    async def open(self, name: str, start: Callable[[int], Awaitable[object]]) -> None:
        """Starts the server `name` on the port it had before. Raises Unavailable where that is taken."""
        port = self.ports.get(name, 0)
        try:
            await start(port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise Unavailable(
                f"port {port}, where the {name} of this cluster was before, is taken: end what uses it,"
                f" or delete {self.path} and let clients read the new kubeconfig"
            ) from None

    def keep(self, **urls: str) -> None:
        """The servers' URLs, by name, are where they shall be next time."""
        if self.path is None:
            return
        self.ports = {name: port for name, url in urls.items() if (port := urlsplit(url).port)}
        self.path.touch(mode=0o600)
        self.path.write_text(json.dumps({"token": self.token, "ports": self.ports}))
