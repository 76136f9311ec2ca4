"""What workspaces of one repository do to each other without meaning to. Warnings: each alone is well."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace

from ..model.names import WorkspaceId
from ..model.settings import Engine
from ..model.world import DesiredWorkspace

Workspaces = Mapping[WorkspaceId, DesiredWorkspace]
Said = Iterator[tuple[WorkspaceId, str]]


def warned(workspaces: Workspaces, engine: Engine) -> Workspaces:
    """The same, with more warnings."""
    found: dict[WorkspaceId, list[str]] = defaultdict(list)
    made = {id: want.output_image for id, want in workspaces.items() if want.output_image}
    for id, text in (*_one_output(made), *_near_output(workspaces, made)) if made else ():
        found[id].append(text)
    # Our own pods stay on nodes of their own workspace; Kaito's go wherever the selector fits.
    for id, text in _shared_nodes(workspaces) if engine == "kaito" else ():
        found[id].append(text)
    if not found:
        return workspaces
    more = {
        id: replace(workspaces[id], warnings=(*workspaces[id].warnings, *said)) for id, said in found.items()
    }
    return {**workspaces, **more}


def _one_output(made: Mapping[WorkspaceId, str]) -> Said:
    """Two tunings that push to one tag: whichever ends last is served."""
    makers: dict[str, list[WorkspaceId]] = defaultdict(list)
    for id, image in made.items():
        makers[image].append(id)
    for image, ids in makers.items():
        for id in ids if len(ids) > 1 else ():
            others = ", ".join(str(other) for other in ids if other != id)
            yield id, f"{image} is also the output of {others}: whichever ends last stays"


def _near_output(workspaces: Workspaces, made: Mapping[WorkspaceId, str]) -> Said:
    """An adapter from a repository that a tuning here pushes to, under a tag that none does."""
    makers = {image: id for id, image in made.items()}
    nearby = {_repository(image): image for image in makers}
    for id, want in workspaces.items():
        inference = want.workspace.inference
        for adapter in inference.adapters if inference is not None else ():
            image = adapter.source.image
            near = nearby.get(_repository(image)) if image and "@" not in image else None
            if near and image not in makers:
                yield id, f"no tuning here makes {image}; {makers[near]} makes {near}"


def _repository(image: str) -> str:
    head, slash, last = image.partition("@")[0].rpartition("/")
    return head + slash + last.partition(":")[0]


def _shared_nodes(workspaces: Workspaces) -> Said:
    """A selector that fits another workspace's nodes of the same machine: Kaito takes them for its own."""
    carriers: dict[tuple[str, tuple[str, str]], list[WorkspaceId]] = defaultdict(list)
    for id, want in workspaces.items():
        for label in _labels(want).items():
            carriers[_machine(want), label].append(id)
    for id, want in workspaces.items():
        selector = _labels(want)
        if not selector:
            yield id, "its labelSelector is empty: it fits the nodes of every workspace"
            continue
        fewest = min((carriers[_machine(want), label] for label in selector.items()), key=len)
        others = [o for o in fewest if o != id and selector.items() <= _labels(workspaces[o]).items()]
        if others:
            yield id, f"its labelSelector also fits the nodes of {', '.join(map(str, sorted(others)[:5]))}"


def _labels(want: DesiredWorkspace) -> dict[str, str]:
    return want.workspace.resource.label_selector.labels


def _machine(want: DesiredWorkspace) -> str:
    return want.workspace.instance_type.lower()
