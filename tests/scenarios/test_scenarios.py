"""Golden scenarios: commits and events in, the last plan and all statuses out.

A scenario is a folder: `1/`, `2/` … hold the files of successive commits, `script.yaml` says what
happens (`push: 1`, `cycles: 12`, `restart`, `delete: [Service, ai, chat]`, `edit: […]`, `unseen: […]`),
and `plan.txt` and `status.json` are what comes of it. Set RECONCILER_UPDATE_SCENARIOS=1 to write them anew.
"""

import json
import os
from pathlib import Path

import pytest
import yaml
from builders import policy
from small_world import SmallWorld

from reconciler.model.names import ObjectKey
from reconciler.model.status import WorkspaceStatus
from reconciler.planning.foresight import foreseen
from reconciler.planning.render import text

HERE = Path(__file__).parent
SCENARIOS = sorted(p.parent for p in HERE.glob("*/script.yaml"))
UPDATE = os.environ.get("RECONCILER_UPDATE_SCENARIOS") == "1"


def files_of(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*.yaml"))}


def play(event: dict, world: SmallWorld, folder: Path) -> None:
    ((kind, said),) = event.items()
    match kind:
        case "push":
            world.push(files_of(folder / str(said)))
        case "cycles":
            world.cycles(said)
        case "restart":
            files = world.files
            world.restart()
            world.push(files)
        case "delete":
            world.delete(ObjectKey(*said))
        case "edit":
            world.edit(ObjectKey(*said["object"]), said["field"], said["value"], said["by"])
        case "unseen":
            world.unseen = frozenset(said)
        case _:
            raise ValueError(f"unknown event {kind}")


def outcome(folder: Path) -> tuple[str, str]:
    """(what follows as text, the statuses that the next cycle leaves)."""
    world = SmallWorld(rules=policy())
    for event in yaml.safe_load((folder / "script.yaml").read_text()):
        play(event, world, folder)
    plan, seen = world.plan()
    proposal = foreseen(world.desired, seen, world.rules)
    world.carry_out(plan, seen)
    statuses = [told(s) for s in world.statuses.values()]
    return text(proposal), json.dumps(statuses, indent=2, ensure_ascii=False) + "\n"


def told(status: WorkspaceStatus) -> dict:
    return {
        "workspace": str(status.id),
        "phase": status.phase,
        "reason": status.reason,
        "message": status.message,
        "at": f"{status.path}:{status.line}" if status.path else "",
        "conditions": {c.type: c.status for c in status.conditions},
        "holds": [h[0] for h in status.holds],
        "nodes": len(status.nodes),
        "gpus": status.gpus,
        "endpoint": status.endpoint,
        "artifact": str(status.artifact or ""),
    }


@pytest.mark.parametrize("folder", SCENARIOS, ids=lambda p: p.name)
def test_scenario(folder):
    for name, found in zip(("plan.txt", "status.json"), outcome(folder), strict=True):
        file = folder / name
        if UPDATE:
            file.write_text(found)
        assert file.read_text() == found


def test_there_are_scenarios():
    assert len(SCENARIOS) >= 8
