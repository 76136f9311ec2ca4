"""Pull requests for a ref: read on top of it, apart from it, and within limits."""

from pathlib import Path

import pytest
from plugins.git import Repository
from plugins.reader import PATHS, Reader

from reconciler.model.settings import GitCredentials
from reconciler.repo.mirror import Mirror
from reconciler.sources import requests as module
from reconciler.sources.git import GitSource
from reconciler.sources.requests import Requests

REF = "refs/pull/7/head"


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture(params=["http", "local"])
def requests(request: pytest.FixtureRequest, remote: Repository, tmp_path: Path, reader: Reader) -> Requests:
    url = remote.url if request.param == "http" else str(remote.path)
    own, apart = (Mirror(tmp_path / name, url, "main", GitCredentials(), 10) for name in ("own", "apart"))
    return Requests(GitSource(own, PATHS, reader), apart)


def proposed(remote: Repository, files: dict) -> str:
    remote.git("checkout", "--quiet", "--detach")
    remote.prepare(files)
    remote.git("push", "--quiet", "--force", "origin", f"HEAD:{REF}")
    head = remote.git("rev-parse", "HEAD")
    remote.git("checkout", "--quiet", "main")
    return head


async def reviewed(requests: Requests, head: str):
    await requests.source.refresh()
    await requests.bring({REF: head})
    return await requests.reviewed(head, REF)


async def test_a_request_is_read_on_top_of_the_branch(requests: Requests, remote: Repository, reader: Reader):
    remote.commit({"teams/blue/a.yaml": "one", "teams/red/b.yaml": "two"})
    head = proposed(remote, {"teams/blue/a.yaml": "one uno", "teams/red/new.yaml": "three"})
    base = remote.commit({"teams/red/b.yaml": "two due"})
    found = await reviewed(requests, head)
    assert found.why == ""
    assert found.touched == {"teams/blue/a.yaml", "teams/red/new.yaml"}
    declared = {str(id) for file in found.declarations.files.values() for id in file.identities}
    assert declared == {"blue/one", "blue/uno", "other/two", "other/due", "other/three"}
    assert found.declarations.revision == head
    assert requests.current.revision == base, "what is watched stays as it was"
    assert {str(i) for f in requests.current.files.values() for i in f.identities} == {
        "blue/one",
        "other/two",
        "other/due",
    }


async def test_a_request_that_touches_no_specs_declares_nothing(
    requests: Requests, remote: Repository, reader: Reader
):
    remote.commit({"teams/blue/a.yaml": "one"})
    head = proposed(remote, {"README.md": "x", ".github/x.yaml": "evil", "reconciler.yaml": "mode: full"})
    await requests.source.refresh()
    reader.since()
    found = await reviewed(requests, head)
    assert (found.declarations, found.why) == (None, "")
    assert reader.since() == [], "nothing else of a request is ever read"


async def test_a_request_in_conflict_says_where(requests: Requests, remote: Repository):
    remote.commit({"teams/blue/a.yaml": "one"})
    head = proposed(remote, {"teams/blue/a.yaml": "two"})
    remote.commit({"teams/blue/a.yaml": "three"})
    found = await reviewed(requests, head)
    assert (found.declarations, found.why) == (None, "it conflicts in teams/blue/a.yaml")


async def test_a_request_that_changes_too_much_is_not_read(
    requests: Requests, remote: Repository, reader: Reader, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "MOST_FILES", 2)
    remote.commit({"teams/blue/a.yaml": "one"})
    head = proposed(remote, {f"teams/blue/{n}.yaml": f"w{n}" for n in range(3)})
    await requests.source.refresh()
    reader.since()
    found = await reviewed(requests, head)
    assert found.why == "it changes 3 specs, more than the 2 that are looked at"
    assert reader.since() == []


async def test_links_and_submodules_of_a_request_are_problems_and_nothing_more(
    requests: Requests, remote: Repository, reader: Reader
):
    remote.commit({"teams/blue/a.yaml": "one"})
    (remote.clone / "teams/blue/link.yaml").symlink_to("/etc/passwd")
    head = proposed(remote, {})
    found = await reviewed(requests, head)
    (problem,) = found.declarations.files["teams/blue/link.yaml"].problems
    assert "a symbolic link is never followed" in problem.rule
