"""The CRD says what the model says."""

from typing import Any, get_args

import pytest
from pydantic import BaseModel

from reconciler import data
from reconciler.model.workspace import Workspace
from reconciler.sources import yaml_loader


@pytest.fixture(scope="module")
def spec() -> Any:
    content = (data.path("schemas") / "crds/workspaces.kaito.sh.yaml").read_bytes()
    (document,) = yaml_loader.load(content).documents
    assert document.faults == []
    return document.value["spec"]


def model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := model_in(inner))), None)


def paths_of_model(model: type[BaseModel]) -> set[str]:
    found = set()
    for name, field in model.model_fields.items():
        inner = model_in(field.annotation)
        below = {f".{path}" for path in paths_of_model(inner)} if inner else set()
        found |= {f"{field.alias or name}{path}" for path in below | {""}}
    return found


def paths_of_schema(schema: dict[str, Any]) -> set[str]:
    found = set()
    for name, field in schema.get("properties", {}).items():
        found |= {name, *(f"{name}.{path}" for path in paths_of_schema(field.get("items", field)))}
    return found


def test_both_versions_have_one_schema_and_v1alpha1_is_stored(spec):
    alpha, beta = spec["versions"]
    assert (alpha["name"], alpha["storage"], beta["name"], beta["storage"]) == (
        "v1alpha1",
        True,
        "v1beta1",
        False,
    )
    assert alpha["served"] and beta["served"]
    assert alpha["schema"] == beta["schema"]


def test_every_field_of_the_model_is_in_the_schema_and_no_other(spec):
    schema = spec["versions"][0]["schema"]["openAPIV3Schema"]
    ours = {path for path in paths_of_model(Workspace) if not path.startswith("metadata.")}
    assert {path for path in paths_of_schema(schema) if not path.startswith("status")} == ours


def test_kubectl_prints_the_columns_of_the_seeds(spec):
    for version in spec["versions"]:
        columns = [column["name"].upper() for column in version["additionalPrinterColumns"]]
        assert columns == ["INSTANCE", "RESOURCEREADY", "INFERENCEREADY", "WORKSPACEREADY", "AGE"]


def test_nothing_but_count_and_access_mode_is_defaulted(spec):
    def defaults(schema: Any, path: str = "") -> set[str]:
        if not isinstance(schema, dict):
            return set()
        here = {path} if "default" in schema and "type" in schema else set()
        return here.union(*(defaults(value, f"{path}.{key}") for key, value in schema.items()))

    found = defaults(spec["versions"][0]["schema"]["openAPIV3Schema"])
    assert {path.rpartition(".")[2] for path in found} == {"count", "accessMode"}
