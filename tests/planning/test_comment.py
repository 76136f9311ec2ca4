"""The plan comment: what happens to each workspace, what it costs, whether it fits; and nothing is obeyed."""

import pytest
from builders import (
    A100,
    EIGHT,
    V100,
    desired,
    everything,
    observed,
    policy,
    pool_of,
    tuning_yaml,
    wanted,
    workspace_yaml,
    ws,
)

from reconciler.model.plan import Hold, Plan
from reconciler.model.world import Desired, ObservedWorkspace
from reconciler.planning.comment import SIZE, headline, markdown
from reconciler.planning.cost import bill
from reconciler.planning.foresight import foreseen
from reconciler.planning.proposal import Proposal
from reconciler.sources import catalog

SHIPPED = catalog.load()
CHAT = wanted(workspace_yaml("chat"))
REPLACE = {"on-immutable-change": "replace"}


def proposed(*texts, seen=(), rules=None):
    found = desired(*texts)
    known = {s.id for s in seen}
    fresh = [ObservedWorkspace(id) for id in found.workspaces if id not in known]
    return foreseen(found, observed(*seen, *fresh), rules or policy())


def commented(proposal, cluster=""):
    return markdown(proposal, bill(proposal, SHIPPED), SHIPPED, cluster)


def said(*texts, **more):
    return commented(proposed(*texts, **more), "prod")


HEADLINES = {
    "nothing": ((workspace_yaml("chat"),), (everything(CHAT),), "no workspace changes"),
    "one is new": ((workspace_yaml("chat"),), (), "workspaces: 1 to create"),
    "one goes": (
        (workspace_yaml("new"),),
        (everything(CHAT),),
        "workspaces: 1 to create, 1 to delete",
    ),
    "one changes": (
        (workspace_yaml("chat", labels={"team": "x"}),),
        (everything(CHAT),),
        "workspaces: 1 to change",
    ),
    "one gets other machines": (
        (workspace_yaml("chat", instance_type=EIGHT, annotations=REPLACE),),
        (everything(CHAT),),
        "workspaces: 1 to replace",
    ),
    "one is held": (
        (workspace_yaml("chat", instance_type=EIGHT),),
        (everything(CHAT),),
        "workspaces: 1 held",
    ),
}


@pytest.mark.parametrize(("texts", "seen", "expected"), HEADLINES.values(), ids=HEADLINES)
def test_headline(texts, seen, expected):
    assert headline(proposed(*texts, seen=seen)) == expected


def test_it_names_cluster_fingerprint_and_commit():
    fingerprint = proposed(workspace_yaml("chat")).plan.fingerprint
    assert said(workspace_yaml("chat")).splitlines()[0] == f"### Plan `{fingerprint}` for `prod` at `1111111`"


def test_it_tells_gpus_and_dollars_with_the_day_of_the_prices():
    lines = said(workspace_yaml("chat", count=2)).splitlines()
    assert "+2 GPUs, +8.00 $/h, +5,840 $/month" in lines
    assert f"| <code>{A100}</code> | 0 | 2 |" in lines
    assert "Prices are of 2026-06-18; a month has 730 hours." in lines


def test_a_tuning_costs_only_while_it_runs():
    assert "+1 GPU, +4.00 $/h, +0 $/month, of it 4.00 $/h only while tunings run" in said(tuning_yaml("tune"))


def test_machines_that_are_freed_save():
    said_ = said(workspace_yaml("new", instance_type=V100), seen=(everything(CHAT),))
    assert "+0 GPUs, -1.00 $/h, -730 $/month" in said_


def test_a_machine_without_a_price_is_named():
    said_ = said(workspace_yaml("chat"), rules=policy(prices={V100: 3.0}))
    assert f"Without a known price: <code>{A100}</code>." in said_


def test_it_tells_whether_the_model_fits_and_what_would_be_cheaper():
    text = said(workspace_yaml("chat"))
    assert "  = weights 7.3 + cache 0.8 + overhead 2.3 of 67.2 GiB per GPU; at most 4,096 tokens" in text
    assert "  = cheaper, and it fits too: 1 × " in text


def test_it_tells_what_a_tuning_takes():
    assert "  = base " in said(tuning_yaml("tune"))
    assert "tokens of a sample" in said(tuning_yaml("tune"))


def test_an_edit_of_what_runs_is_no_question_of_fit():
    assert "  = " not in said(workspace_yaml("chat", labels={"team": "x"}), seen=(everything(CHAT),))


def test_a_retired_machine_is_told():
    text = said(workspace_yaml("chat", instance_type="Standard_NC12s_v3"))
    assert "  ? Standard_NC12s_v3: its retirement date is 2025-09-30; use " in text


def test_held_groups_come_with_what_lets_them_through():
    seen = [everything(wanted(workspace_yaml(name))) for name in "abcde"]
    text = said(workspace_yaml("a"), seen=seen)
    (line,) = [line for line in text.splitlines() if line.startswith("- to let ")]
    assert "MassDeletion through, commit with the trailer Reconciler-Ack: `" in line


def test_a_pool_on_its_way_is_no_news_of_cost():
    creating = everything(CHAT, objects={}, nodes=(), pools=(pool_of(CHAT, state="creating"),))
    assert "$/h" not in said(workspace_yaml("chat"), seen=(creating,))


EVIL = "<img src=x>\n</pre></details>\n@everyone **[x](http://evil)** \x1b[31m `code` &amp;"


def hostile(count=1):
    holds = tuple(Hold(ws(f"w{n}"), "InvalidSpec", EVIL) for n in range(count))
    return Proposal(Plan("1" * 40, holds=holds), Desired("1" * 40, {}), observed(), policy(), {})


def test_strangers_text_is_shown_and_none_of_it_obeyed():
    text = commented(hostile())
    assert "<img" not in text
    assert text.count("</pre>") == text.count("</details>") == 1
    inside = text[text.index("<pre>") : text.index("</pre>")]
    assert "@everyone" in inside
    assert "@everyone" not in text.replace(inside, "")
    assert "\x1b" not in text


def test_it_opens_what_somebody_may_act_on():
    assert "<details open>" in commented(hostile())
    assert "<details open>" not in said(workspace_yaml("chat"))


def test_a_long_plan_fits_a_comment():
    text = commented(hostile(2000))
    assert len(text) <= SIZE + 100
    assert "more workspaces are not shown." in text
