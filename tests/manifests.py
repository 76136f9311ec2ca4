"""The seeds' manifests as text, with their placeholders filled in, and pieces of them to replace."""

from pathlib import Path

from reconciler.sources import specs

SEEDS = Path(__file__).parent / "data/seeds"
PLACEHOLDERS = {
    "ACR_REPO_HERE": "acr",
    "IMAGE_NAME_HERE": "phi-3-dolly",
    "ADAPTER_HERE": "phi-3-dolly",
    "ACR_REGISTRY_SECRET_HERE": "acr-push",
}


def seed(name: str) -> str:
    return (SEEDS / name).read_text()


def filled_in(name: str) -> str:
    text = seed(name)
    for placeholder, value in PLACEHOLDERS.items():
        text = text.replace(placeholder, value)
    return text


def parse(text: str, namespace: str | None = "ai"):
    return specs.parse("team/x.yaml", text.encode(), namespace)


INFERENCE = filled_in("inference-phi-3-mini.yaml")
ADAPTER = filled_in("inference-phi-3-adapter.yaml")
TUNING = filled_in("tuning-phi-3.yaml")
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {training_config.yaml: 'a: 1'}\n"

NAME = "name: workspace-phi-3-mini\n"
SKU = '  instanceType: "Standard_NC6s_v3"\n'
PRESET = "  preset:\n    name: phi-3-mini-4k-instruct\n"
ADAPTER_IMAGE = 'image: "acr.azurecr.io/phi-3-dolly:0.0.1"'
URL = TUNING[TUNING.index("      - ") : TUNING.index("  output:")]
OUTPUT = TUNING[TUNING.index("    image: ") :]
SELECTOR = "    matchLabels:\n      apps: phi-3\n"
