"""Whose yes on a pull request lets a held group through."""

from datetime import UTC, datetime

import pytest

from reconciler.model.review import Approval, Request
from reconciler.review.approvals import approves

GROUP, HEAD = "0123456789ab", "a" * 40
AT = datetime(2026, 11, 26, tzinfo=UTC)
REQUEST = Request(
    number=7,
    title="Serve chat",
    head=HEAD,
    branch="chat",
    origin="org/specs",
    base="main",
    fetch_ref="refs/pull/7/head",
    author="ada",
    trusted=True,
    fork=False,
    labels=frozenset(),
    link="",
)


def label(who="bob", name=f"reconciler-ack/{GROUP}"):
    return Approval(who, "label", name, AT, None)


def review(who="bob", sha=HEAD):
    return Approval(who, "review", "", AT, sha)


ROWS = {
    "a label that names the group": (label(), (), None, True),
    "a label that names another": (label(name="reconciler-ack/ffffffffffff"), (), None, False),
    "the author's own label": (label(who="ada"), (), None, False),
    "a label by an account that is gone": (label(who=""), (), None, False),
    "a label by a listed account": (label(), (), ("bob",), True),
    "a label by an account that is not listed": (label(who="eve"), (), ("bob",), False),
    "a review of a head whose plan showed the group": (review(), (GROUP,), None, True),
    "a review of a head whose plan did not": (review(), (), None, False),
    "a review of an older head": (review(sha="b" * 40), (GROUP,), None, False),
    "the author's own review": (review(who="ada"), (GROUP,), None, False),
    "the author's own under another spelling": (label(who="Ada"), (), None, False),
    "a label by a listed account under another spelling": (label(who="Bob"), (), ("bob",), True),
    "a label where nobody is listed that exists": (label(), (), (), False),
    "a review by an account that is not listed": (review(who="eve"), (GROUP,), ("bob",), False),
}


@pytest.mark.parametrize(("given", "shown", "approvers", "yes"), ROWS.values(), ids=ROWS)
def test_approves(given, shown, approvers, yes):
    assert approves(given, GROUP, REQUEST, shown, approvers) is yes
