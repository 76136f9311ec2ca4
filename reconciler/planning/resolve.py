"""(Declarations, Context) -> Desired: what the files of one commit mean, and which of them mean nothing.

A file with a problem quarantines itself alone: its workspaces are neither changed nor deleted.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..model import configuration, fit
from ..model.declared import Configuration, Declaration, Declarations, DeclaredConfig, ParsedFile
from ..model.finding import line_of
from ..model.names import WorkspaceId
from ..model.workspace import Problem, Workspace
from ..model.world import BrokenFile, Desired, DesiredPool, DesiredWorkspace, Origin
from . import inference, podspec, tuning
from .delivered import configured
from .manifests import Context, Draft, mirror
from .neighbours import warned
from .tenancy import tenancy

Key = tuple[str, WorkspaceId, str, str, str, int, str]
Memo = dict[Key, DesiredWorkspace | tuple[Problem, ...]]
"""The last tree's results by (blob, workspace, path and text of its configuration, path, line, commit); the
context must stay the same."""


def resolve(declarations: Declarations, context: Context) -> Desired:
    """Never raises for bad input: every problem lands in `invalid` or `broken`."""
    return resolve_again(declarations, context, {})[0]


def resolve_again(declarations: Declarations, context: Context, memo: Memo) -> tuple[Desired, Memo]:
    """The same with what is known from a tree before, and what will be known from this one."""
    sound, invalid, broken = _sorted_out(declarations)
    results = _results(sound, declarations, context, memo)
    workspaces: dict[WorkspaceId, DesiredWorkspace] = {}
    for key, found in results.items():
        if isinstance(found, DesiredWorkspace):
            workspaces[key[1]] = found
        else:
            invalid[key[1]] = found
    texts = {name: c.data for name, (_, c) in _configs(declarations.files.values()).items()}
    placed = configured(tenancy(workspaces, context.tenants), texts, context)
    linked, cyclic = _linked(placed)
    desired = Desired(
        declarations.revision,
        warned(linked, context.engine),
        {**invalid, **cyclic},
        broken,
        declared_anything=any(f.declarations or f.problems for f in declarations.files.values()),
        commits=declarations.commits,
    )
    return desired, results


# --- files -----------------------------------------------------------------------------------------


def _sorted_out(
    declarations: Declarations,
) -> tuple[
    list[tuple[ParsedFile, Declaration]], dict[WorkspaceId, tuple[Problem, ...]], dict[str, BrokenFile]
]:
    """Declarations of sound files; problems by workspace; files with problems by path."""
    twins = _twins(declarations.files.values())
    sound: list[tuple[ParsedFile, Declaration]] = []
    invalid: dict[WorkspaceId, tuple[Problem, ...]] = {}
    broken: dict[str, BrokenFile] = {}
    for path in sorted(declarations.files):
        parsed = declarations.files[path]
        problems = (*parsed.problems, *_duplicates(parsed, twins)) if twins else parsed.problems
        if not problems:
            sound += [(parsed, d) for d in parsed.declarations]
            continue
        identities = parsed.identities | declarations.remembered.get(path, frozenset())
        broken[path] = BrokenFile(path, problems, identities or None)
        invalid |= dict.fromkeys(identities, problems)
    if invalid:
        sound = [(parsed, declared) for parsed, declared in sound if declared.id not in invalid]
    return sound, invalid, broken


def _twins(files: Collection[ParsedFile]) -> dict[WorkspaceId, list[tuple[str, int]]]:
    """Where workspaces are declared that are declared more than once."""
    count = Counter(declared.id for parsed in files for declared in parsed.declarations)
    twice = {id for id, times in count.items() if times > 1}
    if not twice:
        return {}
    places: dict[WorkspaceId, list[tuple[str, int]]] = {id: [] for id in twice}
    for parsed in files:
        for declared in parsed.declarations:
            if declared.id in twice:
                places[declared.id].append((parsed.path, declared.line))
    return places


def _duplicates(parsed: ParsedFile, twins: Mapping[WorkspaceId, list[tuple[str, int]]]) -> Iterator[Problem]:
    for declared in parsed.declarations:
        here = (parsed.path, declared.line)
        others = [f"{p}:{line}" for p, line in twins.get(declared.id, ()) if (p, line) != here]
        if others:
            rule = f"workspace {declared.id} is also declared at {', '.join(sorted(others))}"
            remedy = "keep one of them; what runs stays as it is until then"
            yield Problem(parsed.path, declared.line, "metadata.name", declared.id.name, rule, remedy)


@dataclass(frozen=True)
class _Config:
    """The configuration a workspace uses: its text, and where the repository has it, what it says."""

    text: str
    path: str = ""
    read: Configuration | None = None


def _configs(files: Iterable[ParsedFile]) -> dict[tuple[str, str], tuple[str, DeclaredConfig]]:
    """Those of sound files, with the path of each."""
    return {(c.namespace, c.name): (f.path, c) for f in files if not f.problems for c in f.configs}


# --- workspaces ------------------------------------------------------------------------------------


def _results(
    sound: Iterable[tuple[ParsedFile, Declaration]], declarations: Declarations, context: Context, memo: Memo
) -> Memo:
    """What each sound declaration means, or its problems; what the memo knows is not built again."""
    configs = _configs(declarations.files.values())
    defaults = {method: _Config(text) for method, text in context.templates} | {"": _Config("")}
    results: Memo = {}
    for parsed, declared in sound:
        config = _config(declared.workspace, configs, defaults)
        place = (parsed.path, declared.line, declarations.commits.get(parsed.path, ""))
        used = (config.path, config.text) if config is not None else ("(missing)", "")
        key = (parsed.blob, declared.id, *used, *place)
        results[key] = memo.get(key) or _build(declared.workspace, config, Origin(*place), context)
    return results


def _config(
    workspace: Workspace,
    configs: Mapping[tuple[str, str], tuple[str, DeclaredConfig]],
    defaults: Mapping[str, _Config],
) -> _Config | None:
    """The configuration it names, else its method's default; None where the named one is missing."""
    block = workspace.tuning or workspace.inference
    assert block is not None
    if not block.config:
        return defaults.get(workspace.tuning.method if workspace.tuning else "", defaults[""])
    name = configuration.TRAINING if workspace.tuning else configuration.INFERENCE
    path, found = configs.get((workspace.id.namespace, block.config), ("", None))
    if found is None or name not in found.data:
        return None
    return _Config(found.data[name], path, found.read.get(name))


def _build(
    workspace: Workspace, config: _Config | None, origin: Origin, context: Context
) -> DesiredWorkspace | tuple[Problem, ...]:
    draft = Draft(context, workspace, config.text if config is not None else "")
    found = fit.problems(workspace, context.catalogues, scales_adapters=draft.runs_our_image)
    problems = [finding.problem(origin.path, origin.line) for finding in found]
    problems += [_missing_config(workspace, origin)] if config is None else _misconfigured(workspace, config)
    if problems or config is None:
        return tuple(problems)
    made = _native(draft, origin) if context.engine == "native" else _delivered(draft, origin)
    said = config.read.value if config.read is not None else None
    return replace(made, warnings=fit.warnings(workspace, context.catalogues, said))


def _misconfigured(workspace: Workspace, config: _Config) -> Iterator[Problem]:
    """What the runtime would not take, at its line in the ConfigMap's file."""
    if config.read is None:
        return
    value, key = config.read.value, configuration.TRAINING if workspace.tuning else configuration.INFERENCE
    method = workspace.tuning.method if workspace.tuning else None
    found = configuration.training(value, method) if method else configuration.inference(value)
    for each in found:
        line = line_of(each.at, config.read.lines)
        yield replace(each, at=("data", key, *each.at)).problem(config.path, line)


def _missing_config(workspace: Workspace, origin: Origin) -> Problem:
    block = "tuning" if workspace.tuning else "inference"
    named = (workspace.tuning or workspace.inference).config  # type: ignore[union-attr]
    key = "training_config.yaml" if workspace.tuning else "inference_config.yaml"
    rule = f"no ConfigMap of this name with key {key} is declared in namespace {workspace.id.namespace}"
    return Problem(origin.path, origin.line, f"{block}.config", named, rule, "add it to the watched paths")


def _native(draft: Draft, origin: Origin) -> DesiredWorkspace:
    workspace = draft.workspace
    preset = fit.preset_of(workspace, draft.context.catalogues)
    if workspace.tuning is not None:
        assert preset is not None
        config = tuning.settings(draft, preset)
        return _common(
            draft,
            origin,
            config=(config,),
            workload=tuning.job(draft, preset, config, origin.commit),
            content_key=tuning.content_key(draft, preset),
            output_image=workspace.tuning.output.image,
        )
    config = inference.settings(draft, preset)
    return _common(
        draft,
        origin,
        config=(config,),
        workload=inference.deployment(draft, preset, config),
        services=(inference.service(draft, preset),),
    )


def _delivered(draft: Draft, origin: Origin) -> DesiredWorkspace:
    """Engine `kaito`: the operator makes pool and workload; `delivered` adds the ConfigMaps."""
    output = draft.workspace.tuning.output.image if draft.workspace.tuning is not None else ""
    return replace(_common(draft, origin), pool=None, output_image=output)


def _common(draft: Draft, origin: Origin, **made: Any) -> DesiredWorkspace:
    """`made` are the fields that only some kinds of workspace have."""
    workspace = draft.workspace
    pool = DesiredPool(
        key=str(workspace.id),
        driver=draft.context.driver,
        instance_type=workspace.instance_type,
        count=workspace.resource.count,
        gpus_per_node=podspec.gpus_per_node(draft),
        labels=tuple(sorted(podspec.node_labels(draft).items())),
    )
    return DesiredWorkspace(
        id=workspace.id,
        kind=workspace.kind,
        workspace=workspace,
        origin=origin,
        gpus=pool.count * pool.gpus_per_node,
        pool=pool,
        mirror=mirror(draft, origin.path, origin.commit),
        **{"config": (), "workload": None, "services": (), **made},
    )


# --- between workspaces ----------------------------------------------------------------------------


def _linked(
    workspaces: Mapping[WorkspaceId, DesiredWorkspace],
) -> tuple[dict[WorkspaceId, DesiredWorkspace], dict[WorkspaceId, tuple[Problem, ...]]]:
    """Fills in `needs` from images: who mounts what a tuning makes. A cycle is a problem of all in it."""
    makers = {
        w.workspace.tuning.output.image: id
        for id, w in workspaces.items()
        if w.workspace.tuning is not None and w.workspace.tuning.output.image
    }
    if not makers:
        return dict(workspaces), {}
    needs = {id: _needs(w.workspace, makers) for id, w in workspaces.items()}
    caught = [id for id in workspaces if needs[id] and _reaches(id, needs)]
    cyclic: dict[WorkspaceId, tuple[Problem, ...]] = {id: (_cycle(workspaces[id], needs),) for id in caught}
    linked = {
        id: replace(w, needs=needs[id]) if needs[id] else w
        for id, w in workspaces.items()
        if id not in cyclic
    }
    return linked, cyclic


def _needs(workspace: Workspace, makers: Mapping[str, WorkspaceId]) -> frozenset[WorkspaceId]:
    images = {a.source.image for a in workspace.inference.adapters} if workspace.inference else set()
    if workspace.tuning is not None:
        images.add(workspace.tuning.input.image)
    return frozenset(makers[i] for i in images if i in makers)


def _reaches(start: WorkspaceId, needs: Mapping[WorkspaceId, frozenset[WorkspaceId]]) -> bool:
    seen: set[WorkspaceId] = set()
    todo = list(needs[start])
    while todo:
        id = todo.pop()
        if id == start:
            return True
        if id not in seen:
            seen.add(id)
            todo += needs.get(id, ())
    return False


def _cycle(want: DesiredWorkspace, needs: Mapping[WorkspaceId, frozenset[WorkspaceId]]) -> Problem:
    others = ", ".join(map(str, sorted(needs[want.id])))
    rule = f"it waits for the output of {others}, which waits for it"
    remedy = "let one of them take another image"
    return Problem(want.origin.path, want.origin.line, "metadata.name", want.id.name, rule, remedy)
