"""`reconciler doctor` against servers that are in order, and against those that are not."""

import json

import pytest
from plugins.git import Repository

from reconciler.cluster.apply import cluster_id, install_crd
from reconciler.wiring import crd

STATUS_REF = "refs/heads/reconciler-status/test"


@pytest.fixture
def checked(cli, settings, tmp_path):
    """The findings by check: (result, what is seen, remedy) of each, and the exit status."""

    async def run(**more):
        said = await cli("doctor", "-c", settings(**more), "-o", "json")
        found: dict[str, list[tuple[str, str, str]]] = {}
        for each in json.loads(said.out):
            found.setdefault(each["check"], []).append((each["result"], each["seen"], each["remedy"]))
        return found, said.code

    return run


@pytest.fixture
def remote(remote: Repository) -> Repository:
    remote.commit({"workspaces/README": "none yet"})
    return remote


async def test_all_is_well(checked, cli, settings, kubeconfig, remote):
    found, code = await checked(source={"url": remote.url}, status={})
    assert code == 0
    assert {check: results[0][0] for check, results in found.items()} == dict.fromkeys(
        ("API server", "clock", "rights", "definition", "source", "status ref"), "ok"
    )
    assert found["status ref"][0][1] == f"{STATUS_REF} may be made"
    assert remote.ref(STATUS_REF) is None, "nothing is written"
    said = await cli("doctor", "-c", settings(source={"url": remote.url}))
    assert said.code == 0
    assert said.out.endswith("test has what mode full with engine native needs\n")


async def test_the_account_of_an_administrator_is_more_than_is_needed(checked, kubeconfig, remote):
    found, _ = await checked(source={"url": remote.url})
    assert ("warning", "may read every Secret, which it never needs") in [
        each[:2] for each in found["rights"]
    ]


async def test_no_api_server(checked, remote, tmp_path):
    found, code = await checked(source={"url": remote.url})
    ((result, seen, remedy),) = found["API server"]
    assert (result, code) == ("wrong", 1)
    assert "no such file" in seen
    assert "kubernetes.kubeconfig" in remedy
    assert found["source"][0][0] == "ok", "the other checks are made all the same"


@pytest.mark.parametrize(
    ("more", "result", "remedy"),
    [
        ({"engine": "kaito", "provisioner": None}, "wrong", "install the Kaito operator"),
        ({"mode": "observe"}, "warning", "schemas/crds/workspaces.kaito.sh.yaml"),
        ({}, "ok", ""),
    ],
    ids=["kaito", "native, observing", "native"],
)
async def test_no_definition_of_workspaces(checked, kubeconfig, remote, more, result, remedy):
    found, code = await checked(source={"url": remote.url}, **more)
    ((found_result, seen, found_remedy),) = found["definition"]
    assert (found_result, code) == (result, int(result == "wrong"))
    assert seen.startswith("no Workspaces are served")
    assert remedy in found_remedy


async def test_a_definition_that_is_there(checked, kubeconfig, client, remote):
    await install_crd(client, crd())
    found, _ = await checked(source={"url": remote.url})
    assert found["definition"] == [("ok", "Workspaces are served as v1alpha1, v1beta1", "")]


async def test_a_source_that_cannot_be_read(checked, kubeconfig, remote):
    found, code = await checked(source={"url": remote.url, "ref": "nowhere"}, status={"ref": "off"})
    ((result, seen, remedy),) = found["source"]
    assert (result, code) == ("wrong", 1)
    assert "refs/heads/nowhere" in seen
    assert "source.ref" in remedy
    assert found["status ref"] == [("ok", "off", "")]


async def test_a_status_ref_that_may_not_be_made(checked, kubeconfig, remote):
    remote.git("-C", str(remote.path), "config", "http.receivepack", "false")
    found, code = await checked(source={"url": remote.url})
    ((result, seen, remedy),) = found["status ref"]
    assert (result, code, found["source"][0][0]) == ("wrong", 1, "ok")
    assert "403" in seen
    assert remedy == f"let this account create and move {STATUS_REF}, or set status.ref to off"


def told(remote: Repository, cluster_id: str) -> None:
    """A status ref is there already."""
    remote.commit({"index.json": json.dumps({"cluster": "test", "clusterId": cluster_id})})
    remote.git("push", "--quiet", "origin", f"HEAD:{STATUS_REF}")


async def test_a_status_ref_that_may_be_moved_and_one_that_is_protected(checked, client, remote):
    told(remote, await cluster_id(client))
    found, code = await checked(source={"url": remote.url})
    assert (found["status ref"], code) == ([("ok", f"{STATUS_REF} may be written", "")], 0)
    before = remote.ref(STATUS_REF)
    remote.install_hook("pre-receive", "echo protected >&2; exit 1")
    found, code = await checked(source={"url": remote.url})
    assert (found["status ref"][0][0], code) == ("wrong", 1)
    assert "protected" in found["status ref"][0][1]
    assert remote.ref(STATUS_REF) == before


async def test_a_status_ref_of_another_cluster(checked, client, remote):
    told(remote, "another")
    found, code = await checked(source={"url": remote.url})
    ((result, seen, remedy),) = found["status ref"]
    assert (result, code, seen) == ("wrong", 1, f"{STATUS_REF} belongs to another cluster")
    assert "delete the ref where that cluster was rebuilt" in remedy
