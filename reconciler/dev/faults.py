"""Faults in force from the start: a YAML file with rows for the API server and for the cloud."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ..errors import InvalidSpec
from .api.errors import ApiError
from .api.faults import Fault as ApiFault
from .api.faults import faults_of
from .cloud.faults import Fault as CloudFault
from .rows import Row


class _File(Row):
    api: tuple[dict[str, Any], ...] = ()
    cloud: tuple[CloudFault, ...] = ()


def load_faults(path: Path) -> tuple[list[ApiFault], tuple[CloudFault, ...]]:
    """Rows as `POST /_faults` of the API server and `POST /faults` of the cloud take them.

    Raises InvalidSpec for a file that is none.
    """
    try:
        said = _File.model_validate(yaml.safe_load(path.read_text()) or {})
        return faults_of(said.api), said.cloud
    except (OSError, yaml.YAMLError, ValidationError, ApiError) as error:
        raise InvalidSpec(f"{path} holds no faults to order: {error}") from error
