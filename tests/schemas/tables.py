"""Tables of the chart's README, made of what they are about: between `<!-- NAME -->` and `<!-- end -->`."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from reconciler.model.rights import RIGHTS, Right
from reconciler.telemetry import Meter

WHERE = {"cluster": "everywhere", "workspaces": "workspaces' namespaces", "own": "its own namespace"}


def written(text: str, chart: Path) -> str:
    """`text` with every table as it must be."""
    tables = {"rights": _rights(), "metrics": _metrics(), "alerts": _alerts(chart / "alerts.yaml")}
    for name, table in tables.items():
        before, mark, rest = text.partition(f"<!-- {name} -->\n")
        text = before + mark + table + rest[rest.index("<!-- end -->") :]
    return text


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _rights() -> str:
    return _table(("on", "where", "observe", "deliver", "full", "for"), map(_right, RIGHTS))


def _right(right: Right) -> tuple[str, ...]:
    names = f" `{right.only[0]}`" if right.only else ""
    verbs = " ".join(right.verbs)
    why = right.why + ("" if "kaito" in right.engines else " (engine `native`)")
    in_modes = (verbs if mode in right.modes else "" for mode in ("observe", "deliver", "full"))
    return (f"`{right.resource}`{names}", WHERE[right.where], *in_modes, why)


def _metrics() -> str:
    rows = []
    for collector in Meter().metrics.registry._collector_to_names:
        for metric in collector.collect():
            name = metric.name + ("_total" if metric.type == "counter" else "")
            labels = ", ".join(f"`{label}`" for label in collector._labelnames)
            rows.append((f"`{name}`", metric.type, labels, metric.documentation))
    return _table(("metric", "type", "labels", "what it says"), rows)


def _alerts(path: Path) -> str:
    (group,) = yaml.safe_load(path.read_text())["groups"]
    rows = (
        (
            f"`{rule['alert']}`",
            rule["labels"]["severity"],
            rule.get("for", "at once"),
            rule["annotations"]["summary"].replace("{{ $labels.", "`").replace(" }}", "`"),
        )
        for rule in group["rules"]
    )
    return _table(("alert", "severity", "after", "says"), rows)
