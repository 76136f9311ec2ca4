"""What a platform engineer sees: pushes, mistakes, kubectl and crashes against a running daemon."""

import shutil

from e2e.bed import NAMESPACE, inference, tuning

from reconciler.model import names
from reconciler.model.names import ObjectKey


async def ready(bed, *workspaces):
    for name in workspaces:
        await bed.until(lambda name=name: _is(bed, name, ("Ready", "Succeeded")), f"{name} to be ready")


async def _is(bed, name, phases):
    return await bed.phase(name) in phases


async def test_a_push_ends_ready_in_cluster_git_and_metrics(bed):
    await bed.run()
    commit = bed.push({"chat.yaml": inference("chat"), "tune.yaml": tuning("tune")})
    await ready(bed, "chat", "tune")

    deployment = await bed.get("Deployment", "chat")
    service = await bed.get("Service", "chat")
    assert deployment["status"]["readyReplicas"] == 1
    assert [p["port"] for p in service["spec"]["ports"]] == [80, 29500]
    mirror = await bed.get("Workspace", "tune")
    assert mirror["status"]["artifact"]["simulated"] is True
    assert mirror["status"]["artifact"]["digest"].startswith("sha256:")
    assert {c["type"]: c["status"] for c in mirror["status"]["conditions"]}["WorkspaceReady"] == "True"

    async def told():
        wanted = {f"{NAMESPACE}/chat": "Ready", f"{NAMESPACE}/tune": "Succeeded"}
        return bed.index().get("workspaces") == wanted and bed.index()["revision"] == commit

    await bed.until(told, "the status ref to tell of it")
    seen = await bed.metrics()
    assert seen[f'workspace_reconciler_workspace_ready{{name="chat",namespace="{NAMESPACE}"}}'] == 1
    assert await bed.end() == 0


async def test_a_finished_tuning_gives_its_gpus_back_and_never_runs_again(bed):
    await bed.run()
    bed.push({"tune.yaml": tuning("tune")})
    await ready(bed, "tune")
    await bed.until(lambda: _no_pools(bed), "the pool to be released")
    job = await bed.get("Job", "tune")
    await bed.client.delete(ObjectKey("Job", NAMESPACE, "tune"))
    bed.push({"chat.yaml": inference("chat")})
    await ready(bed, "chat")
    assert job is not None
    assert await bed.get("Job", "tune") is None
    assert await bed.phase("tune") == "Succeeded"
    assert {p["key"] for p in bed.pools()} == {f"{NAMESPACE}/chat"}


async def _no_pools(bed):
    return not bed.pools()


async def test_a_broken_file_is_reported_and_disturbs_nothing(bed):
    await bed.run()
    bed.push({"a.yaml": inference("a"), "b.yaml": inference("b")})
    await ready(bed, "a", "b")
    uid = (await bed.get("Deployment", "a"))["metadata"]["uid"]

    bed.push({"a.yaml": "apiVersion: kaito.sh/v1alpha1\nkind: [", "b.yaml": inference("b", strength="0.5")})
    await bed.until(lambda: _is(bed, "a", ("Invalid",)), "a to be reported")
    status = (await bed.get("Workspace", "a"))["status"]
    assert "workspaces/a.yaml:2" in status["message"]

    async def b_changed():
        found = await bed.get("Deployment", "b")
        return "initContainers" in found["spec"]["template"]["spec"]

    await bed.until(b_changed, "b to be changed all the same")
    assert (await bed.get("Deployment", "a"))["metadata"]["uid"] == uid


async def test_emptying_the_specs_folder_is_held_and_deletes_nothing(bed):
    await bed.run()
    bed.push({f"{n}.yaml": inference(n) for n in "abcde"})
    await ready(bed, *"abcde")
    bed.push({**{f"{n}.yaml": None for n in "abcde"}, "../README.md": "nothing here"})

    async def held():
        return (await bed.get("Workspace", "a"))["status"]["reason"] == "EmptySource"

    await bed.until(held, "the deletion to be held")
    assert await bed.names("Deployment") == set("abcde")
    assert len(bed.pools()) == 5
    assert "acknowledge" in (await bed.get("Workspace", "a"))["status"]["message"]


async def test_a_mass_deletion_waits_for_an_acknowledging_commit(bed):
    fingerprint = await held_deletion(bed)
    assert await bed.names("Deployment") == set("abcdef")
    bed.push({}, f"Yes, delete them\n\nReconciler-Ack: {fingerprint}")
    await bed.until(lambda: only_f(bed), "the acknowledged deletion")


async def test_an_acknowledgement_is_found_by_a_daemon_that_starts_with_nothing(bed):
    fingerprint = await held_deletion(bed)
    await bed.kill()
    shutil.rmtree(bed.root / "cache")
    bed.push({}, f"Yes, delete them\n\nReconciler-Ack: {fingerprint}")
    bed.push({"../README.md": "one more commit"})
    await bed.run()
    await bed.until(lambda: only_f(bed), "the acknowledged deletion")


async def held_deletion(bed):
    """Five of six workspaces removed at once; the fingerprint of what is held."""
    await bed.run()
    bed.push({f"{n}.yaml": inference(n) for n in "abcdef"})
    await ready(bed, *"abcdef")
    bed.push({f"{n}.yaml": None for n in "abcde"})

    async def held():
        return (await bed.get("Workspace", "a"))["status"]["reason"] == "MassDeletion"

    await bed.until(held, "the deletion to be held")
    message = (await bed.get("Workspace", "a"))["status"]["message"]
    return message.split("acknowledge ")[1].split(" ")[0]


async def only_f(bed):
    return await bed.names("Workspace") == {"f"} and len(bed.pools()) == 1


async def test_deleting_all_workspace_objects_leaves_every_pod_and_they_come_back(bed):
    await bed.run()
    bed.push({"a.yaml": inference("a"), "b.yaml": inference("b")})
    await ready(bed, "a", "b")
    pods = await bed.names("Pod")
    uids = {n: (await bed.get("Workspace", n))["metadata"]["uid"] for n in "ab"}
    for name in "ab":
        await bed.client.delete(ObjectKey("Workspace", NAMESPACE, name))

    async def back():
        found = [await bed.get("Workspace", n) for n in "ab"]
        return all(w and w["metadata"]["uid"] not in uids.values() and "status" in w for w in found)

    await bed.until(back, "the Workspace objects to come back")
    await ready(bed, "a", "b")
    assert await bed.names("Pod") == pods


async def test_deleting_the_definition_leaves_every_pod_and_it_comes_back(bed):
    await bed.run()
    bed.push({"a.yaml": inference("a")})
    await ready(bed, "a")
    pods = await bed.names("Pod")
    await bed.client.delete(ObjectKey("CustomResourceDefinition", "", names.CRD_NAME))
    await ready(bed, "a")
    assert await bed.names("Pod") == pods


async def test_a_manual_edit_is_put_back(bed):
    await bed.run()
    bed.push({"a.yaml": inference("a")})
    await ready(bed, "a")
    key = ObjectKey("Deployment", NAMESPACE, "a")
    await bed.client.merge_patch(key, {"spec": {"replicas": 0}})

    async def put_back():
        return (await bed.client.get(key))["spec"]["replicas"] == 1

    await bed.until(put_back, "the edit to be put back", seconds=5)


async def test_a_resync_with_nothing_changed_makes_no_request(bed):
    bed.settings["timing"]["fullPassSeconds"] = 0.5
    bed.settings["kubernetes"]["leaseSeconds"] = 60
    await bed.run()
    bed.push({"a.yaml": inference("a")})
    await ready(bed, "a")

    async def two_more():
        return _full_passes(await bed.metrics()) >= before + 2

    before = _full_passes(await bed.metrics())
    await bed.until(two_more, "two full passes")
    asked = len(bed.api.passed)
    before = _full_passes(await bed.metrics())
    await bed.until(two_more, "two more full passes")
    assert len(bed.api.passed) == asked
    assert (await bed.metrics())["workspace_reconciler_missed_changes_total"] == 0


async def test_a_second_process_plans_but_does_not_write(bed):
    await bed.run()
    bed.push({"a.yaml": inference("a")})
    await ready(bed, "a")
    first = bed.daemon
    await bed.launch()
    second, bed.daemon = bed.daemon, first
    await bed.client.delete(ObjectKey("Service", NAMESPACE, "a"))
    await bed.until(lambda: _there(bed, "Service", "a"), "the service to come back")
    held = await bed.client.get(ObjectKey("Lease", "reconciler-system", "reconciler"))
    assert str(first.pid) in held["spec"]["holderIdentity"]
    second.kill()
    await second.wait()


async def _there(bed, kind, name):
    return await bed.get(kind, name) is not None


async def test_a_name_that_somebody_else_holds_is_not_taken(bed):
    foreign = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "a", "namespace": NAMESPACE},
        "spec": {"ports": [{"port": 1234}]},
    }
    await bed.client.create(foreign)
    await bed.run()
    bed.push({"a.yaml": inference("a")})

    async def held():
        status = (await bed.get("Workspace", "a") or {}).get("status", {})
        return status.get("reason") == "NotOurs"

    await bed.until(held, "the foreign Service to be noticed")
    assert (await bed.get("Service", "a"))["spec"]["ports"][0]["port"] == 1234


async def test_mode_observe_writes_nothing_to_the_cluster(bed):
    bed.settings["mode"] = "observe"
    await bed.run()
    bed.push({"a.yaml": inference("a")})

    async def told():
        return bed.index().get("workspaces") == {f"{NAMESPACE}/a": "Held"}

    await bed.until(told, "the plan to be told in Git")
    assert all("git-receive-pack" in line for line in bed.writes)
    assert not bed.pools()


async def test_killed_during_a_push_it_converges_after_a_restart(bed):
    await bed.run()
    bed.push({f"{n}.yaml": inference(n) for n in "abc"})
    await bed.kill()
    await bed.run()
    await ready(bed, *"abc")
    assert len(bed.pools()) == 3


async def test_a_restart_with_nothing_changed_writes_nothing(bed):
    await bed.run()
    bed.push({"a.yaml": inference("a"), "t.yaml": tuning("t")})
    await ready(bed, "a", "t")

    async def released():
        told = (await bed.get("Workspace", "t"))["status"]
        told_in_git = bed.told_of("t")
        gone = '"gpus": 0' in told_in_git and '"nodes": []' in told_in_git
        return await _pools(bed, 1) and not told.get("pool") and gone

    await bed.until(released, "the tuning's pool to be released, and that to be told everywhere")
    assert await bed.end() == 0
    before = len(bed.writes)
    bed.settings["timing"]["fullPassSeconds"] = 0.5
    await bed.run()

    async def looked_around():
        seen = await bed.metrics()
        return seen["workspace_reconciler_leader"] == 1 and _full_passes(seen) >= 3

    await bed.until(looked_around, "the new process to lead and look at everything")
    assert bed.writes[before:] == []


def _full_passes(seen):
    return seen.get('workspace_reconciler_cycles_total{result="full"}', 0)


async def _pools(bed, number):
    return len(bed.pools()) == number


async def test_a_local_repository_is_watched_and_its_status_ref_moved_in_place(bed):
    """Nothing is pushed: all writes to Git happen in the repository itself."""
    bed.settings["source"] |= {"url": str(bed.repository), "pollSeconds": 3600}
    await bed.run()
    bed.push({"a.yaml": inference("a")})
    await ready(bed, "a")
    await bed.until(lambda: _told(bed, {f"{NAMESPACE}/a": "Ready"}), "the status ref to tell of it")
    assert not [line for line in bed.writes if "git-receive-pack" in line]


async def _told(bed, phases):
    return bed.index().get("workspaces") == phases
