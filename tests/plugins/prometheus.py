"""A real Prometheus that scrapes what a test runs, and its promtool."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from .children import Child, free_port


def promtool(*arguments: object) -> str:
    """What it says; raises where it fails. Skips the test where there is none."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Prometheus:
    """Scrapes one address twice a second. `targets` may be told after the start."""

    def __init__(self, root: Path, rules: Path) -> None:
        root.mkdir()
        self._targets = root / "targets.json"
        self.target()
        url = f"127.0.0.1:{free_port()}"
        config = {
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
            "rule_files": [str(rules)],
            "scrape_configs": [
                {
                    "job_name": "reconciler",
                    "honor_labels": True,
                    "file_sd_configs": [{"files": [str(self._targets)], "refresh_interval": "500ms"}],
                }
            ],
        }
        (root / "prometheus.yaml").write_text(yaml.safe_dump(config))
        command = [
            "prometheus",
            f"--config.file={root / 'prometheus.yaml'}",
            f"--storage.tsdb.path={root / 'data'}",
            f"--web.listen-address={url}",
        ]
        self._child = Child(command, root / "prometheus.log")
        self._http = httpx.Client(base_url=f"http://{url}", trust_env=False, timeout=10)
        self._await()

    def target(self, *addresses: str) -> None:
        made = self._targets.with_suffix(".new")
        made.write_text(json.dumps([{"targets": list(addresses)}]))
        made.rename(self._targets)

    def query(self, expression: str) -> list[float]:
        """Values now; raises for an expression that it refuses."""
        answer = self._http.get("/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        return [float(each["value"][1]) for each in answer["data"]["result"]]

    def rules(self) -> dict[str, str]:
        """Health by the rule's name."""
        groups = self._http.get("/api/v1/rules").json()["data"]["groups"]
        return {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}

    def stop(self) -> None:
        self._http.close()
        self._child.kill()

    def _await(self) -> None:
        deadline = time.monotonic() + 30
        while not self._ready():
            if self._child.ended or time.monotonic() > deadline:
                pytest.fail(f"Prometheus did not start:\n{self._child.tail()}")
            time.sleep(0.05)

    def _ready(self) -> bool:
        try:
            return self._http.get("/-/ready").status_code == 200
        except httpx.HTTPError:
            return False


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    if shutil.which("prometheus") is None:
        pytest.skip("Prometheus is not installed: apt-get install prometheus")
    from .helm import CHART

    made = Prometheus(tmp_path_factory.mktemp("prometheus") / "p", CHART / "alerts.yaml")
    yield made
    made.stop()
