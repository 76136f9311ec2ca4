"""The settings of one daemon: composed of the components' own, read from a file, then the environment.

`RECONCILER_MODE=observe` or `RECONCILER_SOURCE__URL=…` override what the file says: `__` goes one level
down, words within a name are parted by `_`, lists and mappings are written as JSON. Variables that name
no setting are ignored, since Kubernetes itself sets some with our prefix (`RECONCILER_PORT`).
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic.alias_generators import to_camel

from .errors import InvalidSpec
from .model.finding import Finding, finding, line_of
from .model.finding import Path as Place
from .model.settings import (
    CatalogueSettings,
    ClusterSettings,
    Engine,
    ForgeSettings,
    ImageSettings,
    Limits,
    Mode,
    Part,
    PriceSettings,
    ProvisionerSettings,
    ReviewSettings,
    SourceSettings,
    StatusSettings,
    Tenant,
    Timing,
    WebSettings,
)
from .sources import shape, yaml_loader

PREFIX = "RECONCILER_"

Document = dict[str, Any]


class Settings(Part):
    """Everything a daemon can be told. Mostly only `cluster`, `engine`, `mode` and `source` are needed."""

    cluster: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    """Names the status ref, pools and checks."""
    engine: Engine
    """`native`: this daemon is the operator. `kaito`: the upstream operator does the work."""
    mode: Mode
    """`observe` writes nothing to the cluster, `deliver` only what Git declares, `full` everything."""
    source: SourceSettings
    status: StatusSettings = StatusSettings()
    provisioner: ProvisionerSettings | None = None
    """Where GPU nodes come from; required with `engine: native`."""
    forge: ForgeSettings | None = None
    """Where pull requests are answered; by default nowhere."""
    review: ReviewSettings = ReviewSettings()
    tenants: tuple[Tenant, ...] = ()
    catalogue: CatalogueSettings = CatalogueSettings()
    images: ImageSettings = ImageSettings()
    prices: PriceSettings = PriceSettings()
    limits: Limits = Limits()
    timing: Timing = Timing()
    kubernetes: ClusterSettings = ClusterSettings()
    web: WebSettings = WebSettings()
    cache: Path = Path("/var/cache/reconciler")
    """Copies of repositories; may be lost at any time."""

    @property
    def status_ref(self) -> str | None:
        """Full name of the status ref, None where it is off."""
        if self.status.ref == "off":
            return None
        return self.status.ref or f"refs/heads/reconciler-status/{self.cluster}"


def load(path: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """Raises InvalidSpec with a line for each thing that is wrong: file, line, field, value, rule, remedy."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidSpec(f"{path}: {(error.strerror or 'it cannot be read').lower()}") from None
    written = _document(content, path)
    overridden = dict(_overrides(environment))
    try:
        settings = Settings.model_validate(_with(written, overridden))
    except ValidationError as error:
        found = shape.findings(error, Settings)
        raise InvalidSpec("\n".join(_lines(found, content, path, overridden))) from None
    if settings.engine == "native" and settings.provisioner is None:
        needed = finding(("provisioner",), None, "engine native needs it", "say where GPU nodes come from")
        raise InvalidSpec(str(needed.problem(str(path), 0)))
    return settings


def _document(content: bytes, path: Path) -> Document:
    """The one mapping in the file."""
    stream = yaml_loader.load(content)
    for fault in filter(None, (*(f for d in stream.documents for f in d.faults), stream.fault)):
        raise InvalidSpec(f"{path}:{fault.line}: {fault.rule}; {fault.remedy}")
    values = [document.value for document in stream.documents if document.value is not None]
    if len(values) != 1 or not isinstance(values[0], dict):
        raise InvalidSpec(f"{path}: it must hold one mapping of settings, such as `cluster: prod`")
    return values[0]


def _overrides(environment: Mapping[str, str]) -> Iterator[tuple[Place, tuple[str, Any]]]:
    """Where in the settings, and by which variable which value."""
    known = {field.alias for field in Settings.model_fields.values()}
    for name in sorted(environment):
        place = tuple(to_camel(part.lower()) for part in name.removeprefix(PREFIX).split("__"))
        if name.startswith(PREFIX) and place[0] in known:
            yield place, (name, _value(environment[name]))


def _value(text: str) -> Any:
    """Lists and mappings as JSON, anything else as it stands: the field's type says what it means."""
    if not text.lstrip().startswith(("[", "{")):
        return text
    stream = yaml_loader.load(text.encode())
    broken = stream.fault or not stream.documents or stream.documents[0].faults
    return text if broken else stream.documents[0].value


def _with(document: Document, overridden: Mapping[Place, tuple[str, Any]]) -> Document:
    for place, (_, value) in overridden.items():
        document = _put(document, place, value)
    return document


def _put(document: Any, place: Place, value: Any) -> Document:
    """A copy with one value replaced."""
    name, rest = str(place[0]), place[1:]
    here = document if isinstance(document, dict) else {}
    return {**here, name: _put(here.get(name), rest, value) if rest else value}


def _lines(
    found: list[Finding], content: bytes, path: Path, overridden: Mapping[Place, tuple[str, Any]]
) -> Iterator[str]:
    """A value from the environment is blamed on its variable, any other on its line in the file."""
    lines = yaml_loader.lines(content, 1)[0]
    for each in found:
        blamed = next((name for at, (name, _) in overridden.items() if each.at[: len(at)] == at), "")
        line = 0 if blamed else line_of(each.at, lines)
        yield str(each.problem(blamed or str(path), line))
