"""Pods as planning reads them: whose word is shown of what keeps one from being ready."""

import json

import pytest

from reconciler.loop.parts import pod

ERROR = {"class": "BadData", "message": "a.jsonl:3: no answer", "remedy": "add a field answer"}
TOLD = "BadData: a.jsonl:3: no answer; add a field answer"


def terminated(message, code=2):
    return {"terminated": {"exitCode": code, "reason": "Error", "message": message}}


WAITING = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}}
CASES = {
    "an error of our images": ({"state": terminated(json.dumps({"error": ERROR}))}, ("Error", TOLD)),
    "of a crash before": (
        {"state": WAITING, "lastState": terminated(json.dumps({"error": ERROR}))},
        ("CrashLoopBackOff", TOLD),
    ),
    "other words": ({"state": terminated("out of memory")}, ("Error", "out of memory")),
    "other JSON": ({"state": terminated('{"error": "x"}')}, ("Error", '{"error": "x"}')),
    "a wait": ({"state": WAITING}, ("CrashLoopBackOff", WAITING["waiting"]["message"])),
}


@pytest.mark.parametrize("kind", ["initContainerStatuses", "containerStatuses"])
@pytest.mark.parametrize(("container", "words"), CASES.values(), ids=CASES)
def test_what_a_container_says_of_its_failure(kind, container, words):
    seen = pod({"metadata": {"name": "p"}, "status": {kind: [container]}})
    assert (seen.reason, seen.message) == words
