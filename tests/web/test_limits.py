"""What came before is known for a while, and no more comes than may."""

import pytest

from reconciler.web.limits import Bucket, Deliveries

NOW = 1_800_000_000.0


def test_a_delivery_that_comes_again_is_known_for_a_while():
    seen = Deliveries()
    assert [seen.came_before("1", NOW + age) for age in (0, 1, 599)] == [False, True, True]
    assert seen.came_before("1", NOW + 700) is False
    assert [seen.came_before("", NOW) for _ in range(2)] == [False, False]


def test_what_is_remembered_is_bounded():
    seen = Deliveries()
    for number in range(30_000):
        seen.came_before(str(number), NOW)
    assert len(seen._seen) <= 10_002


def test_a_bucket_lets_a_burst_through_and_then_its_rate():
    bucket = Bucket(per_second=2.0, burst=3)
    assert [bucket.take(100.0) for _ in range(3)] == [0.0] * 3
    assert bucket.take(100.0) == pytest.approx(0.5)
    assert bucket.take(100.5) == 0.0
    assert bucket.take(100.5) > 0
