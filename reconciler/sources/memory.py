"""What a file that is broken now last declared, and what may have moved into it."""

from collections.abc import Mapping

from ..model.declared import Declarations, ParsedFile
from ..model.names import WorkspaceId


def remembered(
    files: Mapping[str, ParsedFile], before: Declarations | None
) -> dict[str, frozenset[WorkspaceId]]:
    """For each file that is broken now, what it declared when it last was not; absent where nobody knows.

    What vanished from other files in the very commit that made a file unreadable may have moved into it,
    and counts as its own until it can be read again.
    """
    if not before:
        return {}
    found = {}
    lost: frozenset[WorkspaceId] | None = None
    for path in (path for path, file in files.items() if file.problems and path in before.files):
        last = before.files[path]
        if last.problems:
            said = before.remembered.get(path)
        elif files[path].identities:
            said = last.identities
        else:
            lost = _declared(before.files) - _declared(files) if lost is None else lost
            said = last.identities | lost
        if said is not None:
            found[path] = said
    return found


def _declared(files: Mapping[str, ParsedFile]) -> frozenset[WorkspaceId]:
    return frozenset().union(*(file.identities for file in files.values()))
