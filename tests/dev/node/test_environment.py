"""Where a container's environment comes from."""

import pytest
from plugins.pods import held_up, said, shell
from plugins.world import pod


async def config(bench, kind="ConfigMap", name="settings", **data):
    field = {"ConfigMap": "data", "Secret": "stringData"}[kind]
    metadata = {"name": name, "namespace": "default"}
    await bench.client.create({"apiVersion": "v1", "kind": kind, "metadata": metadata, field: data})


def field(path):
    return {"fieldRef": {"fieldPath": path}}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ({"configMapKeyRef": {"name": "settings", "key": "a"}}, "from a map"),
        ({"secretKeyRef": {"name": "keys", "key": "token"}}, "hidden"),
        ({"configMapKeyRef": {"name": "none", "key": "a", "optional": True}}, "unset"),
        ({"secretKeyRef": {"name": "keys", "key": "none", "optional": True}}, "unset"),
        (field("metadata.name"), "p"),
        (field("metadata.namespace"), "default"),
        (field("metadata.annotations['team']"), "blue"),
        (field("spec.nodeName"), "n"),
        (field("spec.serviceAccountName"), "default"),
        ({"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}, "1536"),
        ({"resourceFieldRef": {"resource": "requests.cpu"}}, "2"),
        ({"resourceFieldRef": {"resource": "limits.cpu"}}, "48"),
    ],
    ids=lambda found: next(iter(found)) if isinstance(found, dict) else found,
)
async def test_a_value_from_elsewhere(local, source, value):
    await config(local, a="from a map")
    await config(local, "Secret", "keys", token="hidden")
    env = [{"name": "VALUE", "valueFrom": source}]
    resources = {"limits": {"memory": "1.5Gi"}, "requests": {"cpu": "1500m"}}
    container = shell("echo ${VALUE-unset}", env=env, resources=resources)
    spec = {"containers": [container], "restartPolicy": "Never"}
    await local.client.create(pod("p", spec, team="blue"))
    await local.until("Pod", "p", lambda p: p["status"]["phase"] == "Succeeded")
    assert await local.client.logs("default", "p") == value + "\n"


async def test_whole_maps_and_the_order_of_precedence(local):
    await config(local, a="1", b="1")
    await config(local, "Secret", "keys", b="2")
    container = {
        "envFrom": [
            {"configMapRef": {"name": "settings"}},
            {"secretRef": {"name": "keys"}, "prefix": "X_"},
            {"secretRef": {"name": "none", "optional": True}},
        ],
        "env": [{"name": "b", "value": "3"}, {"name": "c", "value": "$(b)$(nobody)"}],
    }
    assert await said(local, "echo $a $b $c $X_b", container=container) == "1 3 3$(nobody) 2\n"


async def test_what_every_process_is_told(local):
    text = await said(local, 'echo $POD_IP; test "$PWD" = "$RECONCILER_ROOT" && echo $HOSTNAME; env')
    found = await local.get("Pod", "p")
    address, name, *rest = text.splitlines()
    assert address == found["status"]["podIP"]
    assert address.startswith("127.") and address != "127.0.0.1"
    assert name == "p"
    assert not [line for line in rest if line.startswith("PYTEST")]  # nothing of the agent's own


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (
            {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "late", "key": "a"}}}]},
            'configmap "late" not found',
        ),
        ({"envFrom": [{"secretRef": {"name": "late"}}]}, 'secret "late" not found'),
        (
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "no"}}}]},
            "couldn't find key no in Secret default/keys",
        ),
        ({"env": [{"name": "A", "valueFrom": field("spec.none")}]}, "fieldPath spec.none is not supported"),
    ],
    ids=["map", "secret", "key", "field"],
)
async def test_what_is_missing_is_told(local, env, message):
    await config(local, "Secret", "keys", token="hidden")
    await local.client.create(pod("p", {"containers": [shell("echo $A", **env)]}))
    waiting = await held_up(local, "p")
    assert waiting["reason"] == "CreateContainerConfigError"
    assert message in waiting["message"]


async def test_a_container_starts_once_what_it_missed_is_there(local):
    env = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "late", "key": "a"}}}]
    spec = {"containers": [shell("echo $A", env=env)], "restartPolicy": "Never"}
    await local.client.create(pod("p", spec))
    await held_up(local, "p")
    await config(local, "Secret", "late", a="here")
    await local.until("Pod", "p", lambda p: p["status"]["phase"] == "Succeeded")
    assert await local.client.logs("default", "p") == "here\n"
