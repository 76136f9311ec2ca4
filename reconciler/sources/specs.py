"""From the bytes of one file to its typed documents, or to everything that is wrong with it."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import Field, StrictBool, ValidationError

from ..model import grammar, names, rules
from ..model.configuration import INFERENCE, TRAINING
from ..model.declared import Configuration, Declaration, DeclaredConfig, ParsedFile
from ..model.finding import Finding, Path, dotted, finding, line_of
from ..model.names import WorkspaceId
from ..model.suggestion import nearest
from ..model.workspace import Document, Metadata, Part, Problem, Workspace
from . import shape, yaml_loader
from .foreign import refusal, tool_of

KEYS = (TRAINING, INFERENCE)
"""Of a ConfigMap's data: what a runtime reads."""
_KAITO_KINDS = ("Workspace", "InferenceSet", "RAGEngine", "MultiRoleInference", "ModelMirror")


class ConfigMap(Part):
    """A ConfigMap manifest."""

    api_version: str
    kind: str
    metadata: Metadata
    data: dict[str, str] = Field(default_factory=dict)
    immutable: StrictBool = False


def parse(path: str, content: bytes, namespace: str | None) -> ParsedFile:
    """Reads one file; never raises. `namespace` is that of manifests that name none.

    `identities` is empty where any of the file's workspaces has no readable identity.
    """
    tool = tool_of(path)
    if tool:
        return ParsedFile(path, blob_id(content), problems=(refusal(path, tool),))
    stream = yaml_loader.load(content)
    reading = _Reading(path, content, namespace, stream)
    for index, document in enumerate(stream.documents):
        if document.value is not None or document.faults:
            reading.read(index, document)
    return reading.parsed()


@dataclass
class _Reading:
    """What has been read of one file so far."""

    path: str
    content: bytes
    namespace: str | None
    stream: yaml_loader.Stream
    declarations: list[Declaration] = field(default_factory=list)
    configs: list[DeclaredConfig] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    identities: set[WorkspaceId] = field(default_factory=set)
    nameless: bool = False
    ignored: Counter[str] = field(default_factory=Counter)

    def parsed(self) -> ParsedFile:
        fault = self.stream.fault
        if fault:
            self.problems.append(Problem(self.path, fault.line, "", "", fault.rule, fault.remedy))
        self._refuse_twins()
        known = frozenset() if fault or self.nameless else frozenset(self.identities)
        return ParsedFile(
            path=self.path,
            blob=blob_id(self.content),
            declarations=tuple(self.declarations),
            configs=tuple(self.configs),
            problems=tuple(sorted(self.problems, key=lambda p: p.line)[: shape.MAX_FINDINGS]),
            identities=known,
            ignored=dict(self.ignored),
        )

    def read(self, index: int, document: yaml_loader.Document) -> None:
        """Takes one document: to its kind's reader, or to the ignored."""
        if document.faults:
            self._note_identity(document.value)
            for fault in document.faults:
                self.problems.append(Problem(self.path, fault.line, "", "", fault.rule, fault.remedy))
            return
        findings, reader = _kind(document.value)
        if findings:
            self._note_identity(document.value)
            self._refuse(index, findings)
        elif reader:
            reader(self, index, document)
        else:
            self.ignored[str(document.value["kind"])[:80]] += 1

    def read_workspace(self, index: int, document: yaml_loader.Document) -> None:
        manifest = self._complete(document)
        self._note_identity(manifest)
        try:
            workspace = Workspace.model_validate(manifest)
        except ValidationError as error:
            return self._refuse(index, shape.findings(error, Workspace))
        found = rules.faults(workspace)
        if found:
            return self._refuse(index, found)
        self.declarations.append(Declaration(workspace.id, workspace, document.line))
        return None

    def read_config(self, index: int, document: yaml_loader.Document) -> None:
        try:
            config = ConfigMap.model_validate(self._complete(document))
        except ValidationError as error:
            return self._refuse(index, shape.findings(error, ConfigMap))
        name = config.metadata.name
        if fault := grammar.subdomain_fault(name):
            return self._refuse(index, [finding(("metadata", "name"), name, fault, "choose such a name")])
        read = {
            key: self._configuration(index, key, text) for key, text in config.data.items() if key in KEYS
        }
        entry = DeclaredConfig(config.metadata.namespace, name, config.data, document.line, read)
        self.configs.append(entry)
        return None

    def _configuration(self, index: int, key: str, text: str) -> Configuration:
        """What a runtime will read of this text. Line 1 of a block scalar is the one after its key."""
        stream, at = yaml_loader.load(text.encode()), self._lines[index].get(("data", key), 0)
        faults = [fault for document in stream.documents for fault in document.faults]
        faults += [stream.fault] if stream.fault else []
        for fault in faults:
            field = dotted(("data", key))
            self.problems.append(Problem(self.path, at + fault.line, field, "", fault.rule, fault.remedy))
        if faults or not stream.documents:
            return Configuration(None)
        lines = {path: at + line for path, line in yaml_loader.lines(text.encode(), 1)[0].items()}
        return Configuration(stream.documents[0].value, lines)

    def _complete(self, document: yaml_loader.Document) -> Document:
        """Without nulls, which mean absent, and with the namespace filled in."""
        manifest: Document = _without_nulls(document.value) if document.nulls else document.value
        metadata = manifest.get("metadata")
        if isinstance(metadata, dict) and self.namespace:
            metadata.setdefault("namespace", self.namespace)
        return manifest

    def _note_identity(self, manifest: Any) -> None:
        """Remembers which workspace this is about, where its metadata can be read."""
        if not isinstance(manifest, dict) or not _may_be_workspace(manifest):
            return
        metadata = manifest.get("metadata")
        name, namespace = (
            (metadata.get(k) for k in ("name", "namespace")) if isinstance(metadata, dict) else (0, 0)
        )
        namespace = namespace if namespace is not None else self.namespace
        if isinstance(name, str) and isinstance(namespace, str) and name and namespace:
            self.identities.add(WorkspaceId(namespace, name))
        else:
            self.nameless = True

    def _refuse(self, index: int, findings: Iterable[Finding]) -> None:
        lines = self._lines[index]
        self.problems += [f.problem(self.path, line_of(f.at, lines)) for f in findings]

    @cached_property
    def _lines(self) -> list[dict[Path, int]]:
        """Looked up only for a file with problems: most have none."""
        return yaml_loader.lines(self.content, len(self.stream.documents))

    def _refuse_twins(self) -> None:
        count = Counter(declaration.id for declaration in self.declarations)
        for declaration in self.declarations:
            if count[declaration.id] > 1:
                rule, remedy = "this workspace is declared twice in this file", "keep one of them"
                at, name = "metadata.name", declaration.id.name
                self.problems.append(Problem(self.path, declaration.line, at, name, rule, remedy))


Reader = Callable[[_Reading, int, yaml_loader.Document], None]


def _kind(value: Any) -> tuple[list[Finding], Reader | None]:
    """What reads this document, None for a kind that is ignored; or why it is refused."""
    if not isinstance(value, dict):
        return [finding((), value, "a document must be a mapping", "start it with apiVersion and kind")], None
    for name in ("apiVersion", "kind"):
        if not isinstance(said := value.get(name), str) or not said:
            remedy = "add it, or keep other files out of the watched paths"
            return [finding((name,), said, "every manifest needs this as text", remedy)], None
    version, kind = value["apiVersion"], value["kind"]
    if fault := _refused_kind(version, kind, value):
        return [fault], None
    readers: dict[tuple[str, str], Reader] = {
        (names.GROUP, "Workspace"): _Reading.read_workspace,
        ("v1", "ConfigMap"): _Reading.read_config,
    }
    return [], readers.get((version.partition("/")[0], kind))


def _refused_kind(version: str, kind: str, value: Document) -> Finding | None:
    at = ("kind",)
    if version == "v1" and kind == "Secret":
        remedy = (
            "create it in the cluster and name it here, or commit a SealedSecret or ExternalSecret; "
            "what SOPS encrypted is not decrypted here"
        )
        return finding(at, kind, "plain Secrets do not belong in Git", remedy)
    if kind.endswith("List") and isinstance(value.get("items"), list):
        return finding(at, kind, "lists are not taken", "write each item as a document, separated by ---")
    group = version.partition("/")[0]
    if group == names.GROUP and kind not in _KAITO_KINDS and nearest(kind, _KAITO_KINDS) == "Workspace":
        return finding(at, kind, "unknown kind", "did you mean Workspace?")
    if kind == "Workspace" and group != names.GROUP and nearest(group, (names.GROUP,)):
        return finding(("apiVersion",), version, "unknown group", "did you mean kaito.sh/v1alpha1?")
    return None


def _may_be_workspace(manifest: Document) -> bool:
    kind = manifest.get("kind")
    if kind in _KAITO_KINDS:
        return bool(kind == "Workspace")
    return not isinstance(kind, str) or nearest(kind, _KAITO_KINDS) == "Workspace"


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def blob_id(content: bytes) -> str:
    """Git's id for this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
