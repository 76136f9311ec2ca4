"""Fixtures come from the plugins named here, one for each working fake."""

import os

from hypothesis import settings

pytest_plugins = [
    "plugins.realcluster",
    "plugins.apiserver",
    "plugins.bed",
    "plugins.connect_proxy",
    "plugins.connections",
    "plugins.forges",
    "plugins.git",
    "plugins.github_app",
    "plugins.prometheus",
    "plugins.registries",
    "plugins.require_all",
    "plugins.signers",
]

# These need torch, and run in the runtime environment: `make test-runtime`.
collect_ignore = [f"presets/{name}" for name in ("inference", "standins", "tuning")]

settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")
