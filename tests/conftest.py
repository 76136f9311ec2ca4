"""Fixtures come from the plugins named here, one for each working fake."""

import os

import pytest
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
    "plugins.registries",
    "plugins.signers",
]

settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item, call):
    """Under RECONCILER_REQUIRE_ALL=1 a skip is a failure, but for tests marked `gpu`."""
    if (
        os.environ.get("RECONCILER_REQUIRE_ALL") == "1"
        and call.excinfo is not None
        and call.excinfo.errisinstance(pytest.skip.Exception)
        and "gpu" not in item.keywords
    ):
        call.excinfo = pytest.ExceptionInfo.from_exception(
            AssertionError(f"skipped where nothing may be: {call.excinfo.value}")
        )
