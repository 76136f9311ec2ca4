"""From a pydantic error to a finding that names field, rule and remedy in a person's words."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ..model.finding import Finding, Path, finding
from ..model.suggestion import nearest

MAX_FINDINGS = 50
"""More would help nobody, and a hostile file may hold a hundred thousand."""

_TYPES = {
    "string_type": ("it must be text", "write it in quotes"),
    "int_type": ("it must be a whole number", "write it without quotes, point or unit"),
    "tuple_type": ("it must be a list", "write each entry on a line of its own, after '- '"),
    "dict_type": ("it must be a mapping", "write it as 'key: value' lines"),
    "model_type": ("it must be a mapping", "write it as 'key: value' lines"),
}
_CLUSTERS_OWN = frozenset(
    {
        "creationTimestamp",
        "generation",
        "managedFields",
        "resourceVersion",
        "selfLink",
        "uid",
        "deletionTimestamp",
    }
)
_REMEDIES: Mapping[tuple[Path, str], str] = {
    ((), "spec"): "a Workspace has no spec: move resource, inference and tuning to the top level",
    ((), "status"): "the daemon writes the status; remove it from the file",
    (("metadata",), "namespace"): "add it, or give these files a namespace in the settings (source.paths)",
    (("metadata",), "generateName"): "a workspace in Git needs a fixed name; use metadata.name",
}


def findings(error: ValidationError, model: type[BaseModel]) -> list[Finding]:
    """At most `MAX_FINDINGS`, in the order of the model's fields."""
    details = error.errors(include_url=False, include_context=True)
    wrapped = any(d["type"] == "extra_forbidden" and d["loc"] == ("spec",) for d in details)
    kept = (d for d in details if not (wrapped and d["type"] == "missing"))
    return [_finding(detail, model) for detail, _ in zip(kept, range(MAX_FINDINGS), strict=False)]


def _finding(detail: ErrorDetails, model: type[BaseModel]) -> Finding:
    at, kind, value = tuple(detail["loc"]), detail["type"], detail["input"]
    if kind == "extra_forbidden":
        return finding(at, value, "unknown field", _remedy_for_unknown(at, model))
    if kind == "missing":
        remedy = _REMEDIES.get((at[:-1], str(at[-1])), "add it")
        return finding(at, None, "this field is required", remedy)
    if kind == "literal_error":
        rule = f"it must be {detail['ctx']['expected']}"
        return finding(at, value, rule, "use one of these values" if " or " in rule else "write it so")
    said = str(detail.get("ctx", {}).get("remedy", "mend the value"))
    rule, remedy = _TYPES.get(kind, (detail["msg"], said))
    return finding(at, value, rule, remedy)


def _remedy_for_unknown(at: Path, model: type[BaseModel]) -> str:
    parent, name = at[:-1], str(at[-1])
    said = _REMEDIES.get((parent, name))
    if said:
        return said
    if parent == ("metadata",) and name in _CLUSTERS_OWN:
        return "the cluster writes this field; remove it from the file"
    if parent[-1:] == ("source",) and name == "strength":
        return "it belongs to the adapter: write it one level up, beside source"
    near = nearest(name, _fields(parent, model))
    return f"did you mean {near}?" if near else "remove it"


def _fields(at: Path, model: type[BaseModel]) -> list[str]:
    """The names of the fields that are known at this place of a document."""
    here: type[BaseModel] | None = model
    for name in (part for part in at if isinstance(part, str)):
        field = next((f for f in here.model_fields.values() if f.alias == name), None) if here else None
        here = next(_models(field.annotation), None) if field else None
    return [field.alias or name for name, field in here.model_fields.items()] if here else []


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models inside an annotation such as `tuple[Adapter, ...]` or `Preset | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
