"""What people write in Git: the Kaito Workspace (`kaito.sh`, v1alpha1 and v1beta1), typed.

Only the shape is checked here; what goes beyond it is in `rules`. Null means absent, as it does to
the Kubernetes API, so readers drop nulls before they validate.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, StrictInt, model_validator
from pydantic.alias_generators import to_camel

from . import annotations, names
from .names import WorkspaceId

DEFAULT_INSTANCE_TYPE = "Standard_NC24ads_A100_v4"
"""What v1alpha1 means without `instanceType`: Kaito's default since 0.4.5. The earlier one,
Standard_NC12s_v3, was retired by Azure on 2025-09-30. v1beta1 has no default."""

Document = dict[str, Any]
"""A manifest as plain data."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a file, with all a person needs to mend it."""

    path: str
    line: int
    field: str
    value: str
    rule: str
    remedy: str
    reason: str = "InvalidSpec"

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else self.path
        shown = f" {self.value!r}" if self.value else ""
        return f"{where}: {self.field or 'document'}{shown}: {self.rule}; {self.remedy}"


class Part(BaseModel):
    """What all parts of a manifest have in common: frozen, camelCase, no unknown field."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)


class Metadata(Part):
    """The fields of ObjectMeta that belong in Git."""

    name: str
    namespace: str
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class MatchExpression(Part):
    key: str
    operator: str
    values: tuple[str, ...] = ()


class LabelSelector(Part):
    match_labels: dict[str, str] = {}
    match_expressions: tuple[MatchExpression, ...] = ()

    @property
    def labels(self) -> dict[str, str]:
        """The selector as plain labels; expressions are `In` with one value, or the rules refuse them."""
        said = {e.key: e.values[0] for e in self.match_expressions if e.values}
        return {**self.match_labels, **said}


class Partition(Part):
    """Share of a GPU, on nodes brought by the user."""

    mode: Literal["mig", "accelerator"]
    profile: str = ""
    count: Annotated[StrictInt, Field(ge=1)] | None = None


class Resource(Part):
    """Which machines, and how many of them."""

    count: StrictInt = 1
    """Nodes. Each serves by itself."""
    instance_type: str = ""
    """As the cloud names it; `reconciler skus` lists those that are known."""
    label_selector: LabelSelector
    """Labels that its nodes get, beside our own."""
    preferred_nodes: tuple[str, ...] = ()
    partition: Partition | None = None


class PresetOptions(Part):
    image: str = ""
    """In place of the preset's own; a private preset needs it."""
    image_pull_secrets: tuple[str, ...] = ()
    model_access_secret: str = ""
    """Secret whose key HF_TOKEN opens weights behind a login."""


class PresetChoice(Part):
    """The model; what the catalogue knows of it is `preset.Preset`."""

    name: str
    """As `reconciler presets` lists it, or any `organisation/name` of Hugging Face."""
    access_mode: Literal["public", "private"] = "public"
    preset_options: PresetOptions = PresetOptions()


class DataSource(Part):
    name: str = ""
    urls: tuple[str, ...] = ()
    volume_source: Document | None = None
    image: str = ""
    image_pull_secrets: tuple[str, ...] = ()

    @property
    def said(self) -> tuple[str, ...]:
        """The kinds of source that are given; the rules allow one."""
        given = {"urls": self.urls, "volumeSource": self.volume_source is not None, "image": self.image}
        return tuple(name for name, value in given.items() if value)


class DataDestination(Part):
    volume_source: Document | None = None
    image: str = ""
    image_push_secret: str = ""


class Adapter(Part):
    source: DataSource
    strength: str | None = None
    """A number from 0 to 1, as text."""

    @property
    def weight(self) -> float:
        """0 to 1; 1 where no strength is given. Raises ValueError for text the rules refuse."""
        return float(self.strength) if self.strength is not None else 1.0


class Inference(Part):
    preset: PresetChoice | None = None
    template: Document | None = None
    """A pod template, in place of a preset."""
    config: str = ""
    """ConfigMap with the key inference_config.yaml."""
    adapters: tuple[Adapter, ...] = ()
    """What tunings made, loaded on the model: at most ten."""


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


class Tuning(Part):
    preset: PresetChoice
    method: Annotated[Literal["lora", "qlora"], BeforeValidator(_lower)]
    """`lora` trains on whole weights, `qlora` on weights of 4 or 8 bits."""
    config: str = ""
    """ConfigMap with the key training_config.yaml; without one, Kaito's defaults for the method."""
    input: DataSource
    output: DataDestination


class Workspace(Part):
    """A Workspace manifest. Validate with the document as plain data, its namespace filled in."""

    api_version: Literal["kaito.sh/v1alpha1", "kaito.sh/v1beta1"]
    document_kind: Literal["Workspace"] = Field(alias="kind")
    metadata: Metadata
    resource: Resource
    inference: Inference | None = None
    tuning: Tuning | None = None

    _raw: Document = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _keep_document(cls, document: Any, validate: Callable[[Any], Self]) -> Self:
        workspace = validate(document)
        if isinstance(document, dict):
            workspace._raw = document
        return workspace

    @property
    def raw(self) -> Document:
        """The document it was read from: what the mirrored object shows. Not to be changed."""
        return self._raw

    @cached_property
    def id(self) -> WorkspaceId:
        return WorkspaceId(self.metadata.namespace, self.metadata.name)

    @property
    def kind(self) -> Literal["inference", "tuning"]:
        return "tuning" if self.tuning else "inference"

    @property
    def preset(self) -> PresetChoice | None:
        """None where a pod template stands in its place."""
        block = self.tuning or self.inference
        return block.preset if block else None

    @property
    def preset_name(self) -> str:
        """As written; empty where a pod template stands in its place."""
        return self.preset.name if self.preset else ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Names of the Secrets it counts on, in its namespace."""
        options = self.preset.preset_options if self.preset else PresetOptions()
        found = [*options.image_pull_secrets, options.model_access_secret]
        if self.tuning is not None:
            found += [*self.tuning.input.image_pull_secrets, self.tuning.output.image_push_secret]
        for adapter in self.inference.adapters if self.inference is not None else ():
            found += adapter.source.image_pull_secrets
        return tuple(dict.fromkeys(filter(None, found)))

    @property
    def instance_type(self) -> str:
        """As written, else the API version's default; empty where that has none."""
        default = DEFAULT_INSTANCE_TYPE if self.api_version == "kaito.sh/v1alpha1" else ""
        return self.resource.instance_type or default

    @property
    def suspension(self) -> annotations.Suspension | None:
        return annotations.suspension(self.metadata.annotations)

    @property
    def replaces(self) -> bool:
        """An edit of an immutable field replaces the workspace, where it is held by default."""
        return self.metadata.annotations.get(names.ON_IMMUTABLE_CHANGE) == "replace"

    def wants(self, flag: str) -> bool:
        """Whether an annotation that says true or false (`names.PROTECT`, `ADOPT`, `SERVE`) says true."""
        return self.metadata.annotations.get(flag) == "true"
