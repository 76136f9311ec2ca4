"""What Helm makes of the chart, and what it refuses to."""

import json
from pathlib import Path

import helm_python as helm
import pytest
import yaml
from plugins.helm import CHART, NAMESPACE, one, rendered, settings_in, values

from reconciler import config

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))


def example(path: Path) -> dict:
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_passes_lint_and_its_settings_are_read_by_the_daemon(path: Path, tmp_path: Path):
    said = helm.lint(CHART, example(path))
    assert [message["error"] for message in said["messages"]] == ["icon is recommended"]
    file = tmp_path / "reconciler.yaml"
    file.write_text(settings_in(rendered(example(path))))
    settings = config.load(file, {})
    assert settings.mode == example(path)["config"].get("mode", "observe")
    assert settings.kubernetes.namespace == NAMESPACE


def test_without_a_word_nothing_is_written_to_the_cluster():
    objects = rendered(values(engine="kaito"))
    assert yaml.safe_load(settings_in(objects))["mode"] == "observe"
    assert {each["kind"] for each in objects} & {"Role", "RoleBinding"} == set()
    verbs = {verb for rule in one(objects, "ClusterRole")["rules"] for verb in rule["verbs"]}
    assert verbs == {"get", "list", "watch"}


REFUSED = {
    "no cluster named": ({"config": {"engine": "kaito", "source": {"url": "x"}}}, "'/config'", "'cluster'"),
    "an unknown setting": (values(polls=1), "'/config'", "'polls' not allowed"),
    "a wrong value": (values(mode="all"), "'/config/mode'", "'observe', 'deliver', 'full'"),
    "a setting out of bounds": (values(web={"port": 70000}), "'/config/web/port'", "maximum"),
    "an unknown value of the chart": ({**values(), "replicas": 3}, "at ''", "'replicas' not allowed"),
    "a mount of nothing": ({**values(), "mounts": [{"path": "/x"}]}, "'/mounts/0'", "'secret'"),
    "another namespace": (values(kubernetes={"namespace": "x"}), "kubernetes.namespace", "leave it out"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "where", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_wrong_values_are_refused_with_their_place(given, where, why):
    with pytest.raises(helm.HelmError) as refusal:
        rendered(given)
    assert where in str(refusal.value)
    assert why in str(refusal.value)


def test_the_settings_part_of_the_values_schema_is_the_settings_schema_to_the_byte():
    part = json.loads((CHART / "values.schema.json").read_text())["properties"]["config"]
    text = json.dumps(part, indent=2, ensure_ascii=False) + "\n"
    assert text == (ROOT / "schemas" / "settings.schema.json").read_text()


def test_the_pod_is_confined():
    pod = one(rendered(values()), "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    written = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    assert written == {"/var/cache/reconciler"}
    assert {each["name"]: each["value"] for each in container["env"]} == dict.fromkeys(
        ("HOME", "TMPDIR"), "/var/cache/reconciler"
    )
    assert {container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("liveness", "readiness")} == {
        "/healthz",
        "/readyz",
    }
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}


def test_one_process_at_a_time_that_has_time_to_end():
    spec = one(rendered(values()), "Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == 30


def test_other_settings_are_another_pod():
    def template(given):
        return one(rendered(given), "Deployment")["spec"]["template"]

    assert template(values()) == template(values())
    assert template(values()) != template(values(mode="deliver"))


def test_a_port_of_ones_own_reaches_the_container_service_and_probes():
    objects = rendered({**values(web={"port": 9000}), "service": {"port": 8443}})
    (container,) = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": 9000, "protocol": "TCP"}]
    assert one(objects, "Service")["spec"]["ports"] == [
        {"name": "http", "port": 8443, "targetPort": "http", "protocol": "TCP"}
    ]


def test_secrets_are_files_and_none_is_a_value():
    mounts = [{"secret": "git", "path": "/a"}, {"configMap": "presets", "path": "/b"}]
    pod = one(rendered({**values(), "mounts": mounts}), "Deployment")["spec"]["template"]["spec"]
    places = {m["name"]: m["mountPath"] for m in pod["containers"][0]["volumeMounts"] if m.get("readOnly")}
    found = {places[v["name"]]: v for v in pod["volumes"] if v["name"] in places}
    assert found["/a"]["secret"] == {"secretName": "git"}
    assert found["/b"]["configMap"] == {"name": "presets"}
    assert not any(each["kind"] == "Secret" for each in rendered({**values(), "mounts": mounts}))


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor"])
def test_monitoring_is_there_by_switch(kind):
    quiet = {each["kind"] for each in rendered(values())}
    assert quiet.isdisjoint({"ServiceMonitor", "PodMonitor", "PrometheusRule"})
    switched = {"monitor": kind, "rules": True, "dashboards": True, "labels": {"release": "p"}}
    objects = rendered({**values(), "monitoring": switched})
    assert one(objects, kind)["metadata"]["labels"]["release"] == "p"
    assert one(objects, "PrometheusRule")["spec"] == yaml.safe_load((CHART / "alerts.yaml").read_text())
    labelled = [o for o in objects if o["metadata"].get("labels", {}).get("grafana_dashboard") == "1"]
    shipped = {name: json.loads(text) for each in labelled for name, text in each["data"].items()}
    assert shipped == {
        path.name: json.loads(path.read_text()) for path in (CHART / "dashboards").glob("*.json")
    }


def test_the_network_policy_opens_one_port_and_bounds_the_way_out_where_it_is_told_to():
    assert one(rendered(values()), "NetworkPolicy")["spec"]["policyTypes"] == ["Ingress"]
    egress = [{"ports": [{"port": 443}]}]
    given = {**values(), "networkPolicy": {"egress": egress, "from": [{"podSelector": {}}]}}
    spec = one(rendered(given), "NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["egress"] == egress
    assert spec["ingress"] == [
        {"ports": [{"port": "http", "protocol": "TCP"}], "from": [{"podSelector": {}}]}
    ]
    off = rendered({**values(), "networkPolicy": {"enabled": False}})
    assert not any(each["kind"] == "NetworkPolicy" for each in off)


def test_an_image_by_digest_is_that_one():
    digest = "sha256:" + "a" * 64
    given = {**values(), "image": {"repository": "registry.example.com/reconciler", "digest": digest}}
    (container,) = one(rendered(given), "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"registry.example.com/reconciler@{digest}"
