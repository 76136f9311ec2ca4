"""Writes `schemas/`: JSON Schemas for editors and other programs, and the CRD. `make schemas` runs it."""

import ast
import inspect
import json
import sys
import textwrap
from pathlib import Path
from typing import Any

from inference_server.settings import Settings as InferenceSettings
from pydantic import BaseModel, TypeAdapter
from tuner.configuration import TrainingConfig
from tuner.settings import Settings as TuningSettings

from reconciler.config import Settings
from reconciler.model.preset import Preset
from reconciler.model.sku import Sku
from reconciler.model.workspace import Workspace
from tests.schemas import crd
from tests.schemas.documents import Plan, Status

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "schemas"
DRAFT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def files() -> dict[str, str]:
    """Text by path below `schemas/`."""
    workspace = described(Workspace)
    metadata = workspace["$defs"]["Metadata"]
    metadata["required"].remove("namespace")  # the settings may say it for all files of a path
    made = {
        "workspace": workspace,
        "preset": described(Preset),
        "sku": described(Sku),
        "settings": described(Settings),
        "tuning-settings": described(TuningSettings),
        "inference-settings": described(InferenceSettings),
        "training-config": described(TrainingConfig),
        "plan": TypeAdapter(Plan).json_schema(),
        "status": TypeAdapter(Status).json_schema(),
    }
    texts = {f"{name}.schema.json": _text(name, schema) for name, schema in made.items()}
    return texts | {"crds/workspaces.kaito.sh.yaml": crd.text(workspace)}


def described(model: type[BaseModel]) -> Schema:
    """The model's schema, its fields described by the docstrings that stand below them."""
    schema = model.model_json_schema(by_alias=True)
    for name, cls in _models(model, {}).items():
        part = schema if cls is model else schema["$defs"][name]
        for field, text in _docstrings(cls).items():
            alias = cls.model_fields[field].alias or field
            part["properties"][alias].setdefault("description", text)
    return schema


def _models(model: type[BaseModel], found: dict[str, type[BaseModel]]) -> dict[str, type[BaseModel]]:
    found[model.__name__] = model
    for field in model.model_fields.values():
        for inner in crd.models_in(field.annotation):
            if inner.__name__ not in found:
                _models(inner, found)
    return found


def _docstrings(cls: type[BaseModel]) -> dict[str, str]:
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, below in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            text = getattr(below, "value", None) if isinstance(below, ast.Expr) else None
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                found[field.target.id] = " ".join(text.value.split())
    return {name: text for name, text in found.items() if name in cls.model_fields}


def _text(name: str, schema: Schema) -> str:
    whole = {"$schema": DRAFT, "$id": f"{name}.schema.json", **schema}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    for path, text in files().items():
        (FOLDER / path).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / path).write_text(text)
        sys.stdout.write(f"schemas/{path}\n")


if __name__ == "__main__":
    main()
