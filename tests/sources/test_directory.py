"""A plain folder as the source."""

import asyncio
import os
import shutil
from contextlib import aclosing

import pytest
from manifests import INFERENCE, TUNING

from reconciler.errors import Unavailable
from reconciler.model.names import WorkspaceId
from reconciler.model.settings import PathEntry
from reconciler.sources.directory import DirectorySource

PATHS = (PathEntry(include="workspaces/**/*.yaml", namespace="ai"),)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "workspaces/team").mkdir(parents=True)
    (tmp_path / "workspaces/team/phi.yaml").write_text(INFERENCE)
    return tmp_path


async def test_files_below_the_globs_are_read(root):
    (root / "other.yaml").write_text("not: [ours")
    declarations = await DirectorySource(root, PATHS).refresh()
    assert list(declarations.files) == ["workspaces/team/phi.yaml"]
    (declared,) = declarations.files["workspaces/team/phi.yaml"].declarations
    assert declared.id == WorkspaceId("ai", "workspace-phi-3-mini")


async def test_the_revision_follows_the_content(root):
    source = DirectorySource(root, PATHS)
    first = await source.refresh()
    assert (await source.refresh()).revision == first.revision
    (root / "workspaces/team/phi.yaml").write_text(INFERENCE + "\n")
    assert (await source.refresh()).revision != first.revision
    assert source.current is not None and source.current.revision != first.revision


async def test_links_pipes_and_folders_are_not_read(root, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.yaml").write_text(TUNING)
    (root / "workspaces/link.yaml").symlink_to(outside / "secret.yaml")
    (root / "workspaces/folder").symlink_to(outside)
    (root / "workspaces/deep.yaml").mkdir()
    os.mkfifo(root / "workspaces/pipe.yaml")
    declarations = await DirectorySource(root, PATHS).refresh()
    assert list(declarations.files) == ["workspaces/team/phi.yaml"]


async def test_a_file_that_breaks_is_remembered_until_it_is_mended_or_gone(root):
    source, file = DirectorySource(root, PATHS), root / "workspaces/team/phi.yaml"
    await source.refresh()
    for broken in ("a: [", "b: ["):
        file.write_text(broken)
        found = await source.refresh()
        assert found.remembered == {"workspaces/team/phi.yaml": {WorkspaceId("ai", "workspace-phi-3-mini")}}
    file.write_text(INFERENCE)
    assert (await source.refresh()).remembered == {}
    file.unlink()
    assert (await source.refresh()).files == {}


async def test_a_folder_that_is_missing_is_no_deletion(root):
    source = DirectorySource(root, PATHS)
    before = await source.refresh()
    shutil.rmtree(root)
    with pytest.raises(Unavailable):
        await source.refresh()
    assert source.current is before


async def test_a_change_wakes(root):
    async with aclosing(DirectorySource(root, PATHS).wakeups()) as wakeups:
        woken = asyncio.ensure_future(anext(wakeups))
        async with asyncio.timeout(20):
            for i in range(1000):
                (root / "workspaces/team/phi.yaml").write_text(f"# {i}\n{INFERENCE}")
                if (await asyncio.wait({woken}, timeout=0.1))[0]:
                    break
        assert await woken is None
