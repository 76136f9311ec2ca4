"""Typed view of an OpenAPI schema: what patches, server-side apply, pruning and validation walk along."""

import functools
import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import orjson

if TYPE_CHECKING:
    from reconciler.dev.api.rules import Rule

Node = Mapping[str, Any]
Shape = Literal["struct", "map", "list", "scalar", "any"]
RULES = (
    *("enum", "minimum", "maximum", "multipleOf", "minLength", "maxLength", "pattern"),
    *("minItems", "maxItems", "minProperties", "maxProperties", "allOf", "anyOf", "oneOf", "not"),
)
META = "io.k8s.apimachinery.pkg.apis.meta.v1."


class Type:
    """One place in a schema. Maps and structs are granular unless `atomic`; lists are set, map or atomic."""

    def __init__(self, node: Node, shape: Shape) -> None:
        self.node = node
        self.shape = shape
        self.fields: dict[str, Type] = {}
        self.element: Type | None = None
        list_type = node.get("x-kubernetes-list-type", "atomic")
        self.keys: tuple[str, ...] = tuple(node.get("x-kubernetes-list-map-keys", ()))
        self.unique = list_type == "set"
        self.atomic = node.get("x-kubernetes-map-type") == "atomic"
        if shape == "list":
            self.atomic = list_type == "atomic"
        self.preserve = bool(node.get("x-kubernetes-preserve-unknown-fields")) or shape == "any"
        self.ruled = any(word in node for word in RULES)
        self.required: tuple[str, ...] = tuple(node.get("required", ()))

    def child(self, key: str) -> "Type | None":
        """The type of `key`'s value in a map or struct; None where the schema does not know it."""
        found = self.fields.get(key)
        if found is not None:
            return found
        if self.element is not None and self.shape != "list":
            return self.element
        return ANY if self.preserve else None

    @functools.cached_property
    def defaults(self) -> dict[str, Any]:
        return {name: kind.node["default"] for name, kind in self.fields.items() if "default" in kind.node}

    @functools.cached_property
    def rules(self) -> "tuple[Rule, ...]":
        written = self.node.get("x-kubernetes-validations")
        if not written:
            return ()
        from reconciler.dev.api.rules import compiled  # slow to import: the CEL library brings a prompt along

        return compiled(written)

    @functools.cached_property
    def guarded(self) -> bool:
        """Whether a CEL rule stands here or below. Not for built-in types, which may refer to themselves."""
        below = (*self.fields.values(), *((self.element,) if self.element else ()))
        return any([bool(self.rules), *(kind.guarded for kind in below)])

    def drops_null(self, name: str) -> bool:
        return name in self.fields and not self.fields[name].node.get("nullable")

    @property
    def item(self) -> "Type":
        return self.element or ANY


ANY = Type({}, "any")


def shape_of(node: Node) -> Shape:
    kind = node.get("type")
    if node.get("x-kubernetes-int-or-string"):
        return "scalar"
    if kind == "array":
        return "list"
    if kind == "object" or "properties" in node or "additionalProperties" in node:
        extra = node.get("additionalProperties")
        return "map" if isinstance(extra, Mapping) and not node.get("properties") else "struct"
    return "any" if kind is None else "scalar"


class Schemas:
    """Types of one set of named definitions; a name is built once, so schemas may refer to themselves."""

    def __init__(self, definitions: Mapping[str, Node]) -> None:
        self.definitions = definitions
        self._named: dict[str, Type] = {}

    def named(self, name: str) -> Type:
        if name not in self._named:
            node = self.definitions[name]
            self._named[name] = built = Type(node, shape_of(node))
            self._fill(built)
        return self._named[name]

    def type_of(self, node: Node) -> Type:
        if isinstance(node.get("$ref"), str):
            return self._referred(node)
        built = Type(node, shape_of(node))
        self._fill(built)
        return built

    def _referred(self, node: Node) -> Type:
        named = self.named(node["$ref"].rpartition("/")[2])
        if "default" not in node and not any(key.startswith("x-kubernetes-") for key in node):
            return named
        built = Type({**named.node, **node}, named.shape)
        built.fields, built.element = named.fields, named.element
        return built

    def _fill(self, built: Type) -> None:
        for name, node in (built.node.get("properties") or {}).items():
            built.fields[name] = self.type_of(node)
        extra = built.node.get("additionalProperties")
        if isinstance(built.node.get("items"), Mapping):
            built.element = self.type_of(built.node["items"])
        elif isinstance(extra, Mapping):
            built.element = self.type_of(extra)
        elif extra is True:
            built.element = ANY
        if built.node.get("x-kubernetes-embedded-resource"):
            for name in ("apiVersion", "kind", "metadata"):
                built.fields.setdefault(name, header()[name])


@functools.cache
def builtin() -> Schemas:
    packed = Path(__file__).with_name("schemas.json.gz").read_bytes()
    return Schemas(orjson.loads(gzip.decompress(packed)))


@functools.cache
def header() -> dict[str, Type]:
    """The fields of every object."""
    text = Type({"type": "string"}, "scalar")
    return {"apiVersion": text, "kind": text, "metadata": builtin().named(META + "ObjectMeta")}


def custom_type(node: Node | None) -> Type:
    """The type of a custom resource from its `openAPIV3Schema`; without one, anything goes."""
    root = Schemas({}).type_of(node or {"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    root.fields.update(header())
    return root
