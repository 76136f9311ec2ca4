"""What a file that is broken now last declared."""

from collections.abc import Mapping

from ..model.declared import Declarations, ParsedFile
from ..model.names import WorkspaceId


def remembered(
    files: Mapping[str, ParsedFile], before: Declarations | None
) -> dict[str, frozenset[WorkspaceId]]:
    """For each file that is broken now, what it declared when it last was not; absent where nobody knows."""
    if not before:
        return {}
    found = {}
    for path in (path for path, file in files.items() if file.problems and path in before.files):
        last = before.files[path]
        said = before.remembered.get(path) if last.problems else last.identities
        if said is not None:
            found[path] = said
    return found
