"""(Declarations, Context) -> Desired: what the files of one commit mean, and which of them mean nothing.

A file with a problem quarantines itself alone: its workspaces are neither changed nor deleted.
"""

from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
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
from .tenancy import counted, placed

Configs = Mapping[tuple[str, str], tuple[str, DeclaredConfig]]
"""ConfigMaps of sound files by namespace and name, with the path of each."""
Result = DesiredWorkspace | tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Meant:
    """What a sound file meant, and what of the tree that depended on; the context must stay the same."""

    blob: str
    commit: str
    configs: tuple[tuple[tuple[str, str], tuple[str, DeclaredConfig] | None], ...]
    """ConfigMaps that its workspaces name, as they were."""
    results: tuple[tuple[WorkspaceId, Result], ...]

    def holds(self, blob: str, commit: str, configs: Configs) -> bool:
        same = self.blob == blob and self.commit == commit
        return same and (not self.configs or all(configs.get(key) == was for key, was in self.configs))


Memo = dict[str, Meant]
"""The last tree's sound files by path."""


def resolve(declarations: Declarations, context: Context) -> Desired:
    """Never raises for bad input: every problem lands in `invalid` or `broken`."""
    return resolve_again(declarations, context, {})[0]


def resolve_again(declarations: Declarations, context: Context, memo: Memo) -> tuple[Desired, Memo]:
    """The same with what is known from a tree before, and what will be known from this one.

    Workspaces that mean what they meant are the same objects. Every request is resolved so, against all
    that is declared: what is done for each workspace here is done ten thousand times for each.
    """
    sound, invalid, broken = _sorted_out(declarations)
    configs = _configs(sound)
    meant = _meant(sound, declarations.commits, configs, context, memo)
    workspaces, unsound = _told_apart(meant, invalid)
    texts = {name: config.data for name, (_, config) in configs.items()}
    placed = configured(counted(workspaces, context.tenants), texts, context)
    linked, cyclic = _linked(placed)
    desired = Desired(
        declarations.revision,
        warned(linked, context.engine),
        {**invalid, **unsound, **cyclic},
        broken,
        declared_anything=any(f.declarations or f.problems for f in declarations.files.values()),
        commits=declarations.commits,
    )
    return desired, meant


def changed_between(before: Desired | None, after: Desired) -> frozenset[WorkspaceId]:
    """Workspaces that a new revision declares differently, or no longer."""
    if before is None:
        return frozenset({*after.workspaces, *after.invalid})
    was, now = before.workspaces, after.workspaces
    suspects = {id for id, want in now.items() if was.get(id) is not want} | (was.keys() - now.keys())
    changed = {id for id in suspects if not _same(was.get(id), now.get(id))}
    invalid = before.invalid.keys() | after.invalid.keys()
    return frozenset(changed | {id for id in invalid if before.invalid.get(id) != after.invalid.get(id)})


def _same(one: DesiredWorkspace | None, other: DesiredWorkspace | None) -> bool:
    if one is None or other is None:
        return False
    return one == other and one.origin.path == other.origin.path


# --- files -----------------------------------------------------------------------------------------


def _sorted_out(
    declarations: Declarations,
) -> tuple[list[ParsedFile], dict[WorkspaceId, tuple[Problem, ...]], dict[str, BrokenFile]]:
    """Sound files; problems by workspace; files with problems by path."""
    twins = _twins(declarations.files.values())
    sound: list[ParsedFile] = []
    invalid: dict[WorkspaceId, tuple[Problem, ...]] = {}
    broken: dict[str, BrokenFile] = {}
    for path in sorted(declarations.files):
        parsed = declarations.files[path]
        problems = (*parsed.problems, *_duplicates(parsed, twins)) if twins else parsed.problems
        if not problems:
            sound.append(parsed)
            continue
        identities = parsed.identities | declarations.remembered.get(path, frozenset())
        broken[path] = BrokenFile(path, problems, identities or None)
        invalid |= dict.fromkeys(identities, problems)
    return sound, invalid, broken


def _twins(files: Collection[ParsedFile]) -> dict[WorkspaceId, list[tuple[str, int]]]:
    """Where workspaces are declared that are declared more than once."""
    all_of_them = [declared.id for parsed in files for declared in parsed.declarations]
    if len(set(all_of_them)) == len(all_of_them):
        return {}
    twice = {id for id, times in Counter(all_of_them).items() if times > 1}
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


def _configs(sound: Iterable[ParsedFile]) -> Configs:
    return {(c.namespace, c.name): (f.path, c) for f in sound if f.configs for c in f.configs}


# --- workspaces ------------------------------------------------------------------------------------


def _meant(
    sound: Iterable[ParsedFile], commits: Mapping[str, str], configs: Configs, context: Context, memo: Memo
) -> Memo:
    """What each file means; what the memo knows is not built again."""
    defaults = {method: _Config(text) for method, text in context.templates} | {"": _Config("")}
    found: Memo = {}
    for parsed in sound:
        commit = commits.get(parsed.path, "")
        known = memo.get(parsed.path)
        if known is None or not known.holds(parsed.blob, commit, configs):
            known = Meant(
                parsed.blob,
                commit,
                tuple((key, configs.get(key)) for key in map(_named, parsed.declarations) if key[1]),
                tuple(_built(parsed, commit, configs, defaults, context)),
            )
        found[parsed.path] = known
    return found


def _built(
    parsed: ParsedFile, commit: str, configs: Configs, defaults: Mapping[str, _Config], context: Context
) -> Iterator[tuple[WorkspaceId, Result]]:
    for declared in parsed.declarations:
        origin = Origin(parsed.path, declared.line, commit)
        config = _config(declared, configs, defaults)
        yield declared.id, _build(declared.workspace, config, origin, context)


def _told_apart(
    meant: Memo, invalid: Container[WorkspaceId]
) -> tuple[dict[WorkspaceId, DesiredWorkspace], dict[WorkspaceId, tuple[Problem, ...]]]:
    """Workspaces, and problems of others; what a broken file is about too is left to that."""
    workspaces: dict[WorkspaceId, DesiredWorkspace] = {}
    unsound: dict[WorkspaceId, tuple[Problem, ...]] = {}
    for file in meant.values():
        for id, found in file.results:
            if id in invalid:
                continue
            if isinstance(found, DesiredWorkspace):
                workspaces[id] = found
            else:
                unsound[id] = found
    return workspaces, unsound


def _named(declared: Declaration) -> tuple[str, str]:
    """Namespace and name of the ConfigMap it names; no name where it names none."""
    block = declared.workspace.tuning or declared.workspace.inference
    assert block is not None
    return declared.id.namespace, block.config or ""


def _config(declared: Declaration, configs: Configs, defaults: Mapping[str, _Config]) -> _Config | None:
    """The configuration it names, else its method's default; None where the named one is missing."""
    key, tuned = _named(declared), declared.workspace.tuning
    if not key[1]:
        return defaults.get(tuned.method if tuned else "", defaults[""])
    name = configuration.TRAINING if tuned else configuration.INFERENCE
    path, found = configs.get(key, ("", None))
    if found is None or name not in found.data:
        return None
    return _Config(found.data[name], path, found.read.get(name))


def _build(workspace: Workspace, config: _Config | None, origin: Origin, context: Context) -> Result:
    draft = Draft(context, workspace, config.text if config is not None else "")
    found = fit.problems(workspace, context.catalogues, scales_adapters=draft.runs_our_image)
    problems = [finding.problem(origin.path, origin.line) for finding in found]
    problems += [_missing_config(workspace, origin)] if config is None else _misconfigured(workspace, config)
    if problems or config is None:
        return tuple(problems)
    made = _native(draft, origin) if context.engine == "native" else _delivered(draft, origin)
    said = config.read.value if config.read is not None else None
    warnings = fit.warnings(workspace, context.catalogues, said)
    return placed(replace(made, warnings=warnings), context.tenants)


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
) -> tuple[Mapping[WorkspaceId, DesiredWorkspace], dict[WorkspaceId, tuple[Problem, ...]]]:
    """Fills in `needs` from images: who mounts what a tuning makes. A cycle is a problem of all in it."""
    makers = {w.output_image: id for id, w in workspaces.items() if w.output_image}
    if not makers:
        return workspaces, {}
    needs = {id: found for id, w in workspaces.items() if (found := _needs(w.workspace, makers))}
    cyclic: dict[WorkspaceId, tuple[Problem, ...]] = {
        id: (_cycle(workspaces[id], needs),) for id in needs if _reaches(id, needs)
    }
    linked = {**workspaces, **{id: replace(workspaces[id], needs=found) for id, found in needs.items()}}
    return {id: w for id, w in linked.items() if id not in cyclic} if cyclic else linked, cyclic


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
