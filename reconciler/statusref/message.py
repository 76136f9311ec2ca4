"""The commit message: counts, transitions, and where it came from."""

from collections.abc import Mapping

from .documents import Line, counts

_TRANSITIONS = 50


def message(
    cluster: str, revision: str, before: Mapping[str, Line], after: Mapping[str, Line], changed: int
) -> str:
    moves = transitions(before, after)
    more = [f"… and {len(moves) - _TRANSITIONS} more"] if len(moves) > _TRANSITIONS else []
    paragraphs = [
        _subject(cluster, revision, after),
        "\n".join(moves[:_TRANSITIONS] + more),
        "[skip ci]",
        f"Reconciler-Source-Commit: {revision}\n"
        f"Reconciler-Cluster: {cluster}\n"
        f"Reconciler-Workspaces-Changed: {changed}",
    ]
    return "\n\n".join(p for p in paragraphs if p) + "\n"


def _subject(cluster: str, revision: str, lines: Mapping[str, Line]) -> str:
    said = ", ".join(f"{n} {phase.lower()}" for phase, n in sorted(counts(lines).items())) or "no workspaces"
    return f"status({cluster}): {said}" + (f" @ {revision[:7]}" if revision else "")


def transitions(before: Mapping[str, Line], after: Mapping[str, Line]) -> list[str]:
    """`ns/name Provisioning -> Ready`, by workspace; `-` stands for one that is not there."""
    ids = before.keys() | after.keys()
    absent = Line("-")
    pairs = ((id, before.get(id, absent).phase, after.get(id, absent).phase) for id in sorted(ids))
    return [f"{id} {was} -> {now}" for id, was, now in pairs if was != now]
