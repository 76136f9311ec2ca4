"""The settings of one daemon: composed of the components' own, read from a file, then the environment."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from .errors import InvalidSpec
from .model.settings import (
    ClusterSettings,
    Engine,
    ImageSettings,
    Limits,
    Mode,
    ProvisionerSettings,
    SourceSettings,
    StatusSettings,
    Tenant,
    Timing,
    WebSettings,
)

ENVIRONMENT_PREFIX = "RECONCILER_"


class Settings(BaseSettings):
    """`RECONCILER_MODE=observe` or `RECONCILER_SOURCE__URL=…` in the environment override the file."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=ENVIRONMENT_PREFIX,
        env_nested_delimiter="__",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

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
    tenants: tuple[Tenant, ...] = ()
    limits: Limits = Limits()
    timing: Timing = Timing()
    kubernetes: ClusterSettings = ClusterSettings()
    web: WebSettings = WebSettings()
    images: ImageSettings = ImageSettings()
    cache: Path = Path("/var/cache/reconciler")
    """Copies of repositories; may be lost at any time."""

    @property
    def status_ref(self) -> str | None:
        """Full name of the status ref, None where it is off."""
        if self.status.ref == "off":
            return None
        return self.status.ref or f"refs/heads/reconciler-status/{self.cluster}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings


def load(path: Path) -> Settings:
    """Raises InvalidSpec with one line for each thing that is wrong."""
    try:
        written = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InvalidSpec(f"{path}: cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise InvalidSpec(f"{path}: is no YAML: {error}") from None
    if not isinstance(written, dict):
        raise InvalidSpec(f"{path}: must hold a mapping of settings")
    return checked(written, str(path))


def checked(written: dict[str, Any], where: str) -> Settings:
    try:
        settings = Settings(**written)
    except ValidationError as error:
        lines = [f"{where}: {_field(e['loc'])}: {e['msg']}" for e in error.errors()]
        raise InvalidSpec("\n".join(lines)) from None
    if settings.engine == "native" and settings.provisioner is None:
        raise InvalidSpec(f"{where}: provisioner: is required with `engine: native`")
    return settings


def _field(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "settings"
