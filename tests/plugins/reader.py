"""A parser that notes what it is given."""

from reconciler.model.declared import ParsedFile
from reconciler.model.names import WorkspaceId
from reconciler.model.settings import PathEntry
from reconciler.model.workspace import Problem
from reconciler.sources.specs import blob_id

PATHS = (
    PathEntry(include="teams/blue/**/*.yaml", namespace="blue"),
    PathEntry(include="teams/**/*.yaml", namespace="other"),
)


class Reader:
    """A parser: each line of a file is a workspace's name; a file with `?` is broken. Notes what it reads."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, path: str, content: bytes, namespace: str | None) -> ParsedFile:
        self.read.append(path)
        blob = blob_id(content)
        if b"?" in content:
            return ParsedFile(
                path, blob, problems=(Problem(path, 1, "", "?", "no question marks", "drop it"),)
            )
        names = content.decode().split()
        return ParsedFile(
            path, blob, identities=frozenset(WorkspaceId(namespace or "", name) for name in names)
        )

    def since(self) -> list[str]:
        """What was read since this was last asked."""
        read, self.read = self.read, []
        return read
