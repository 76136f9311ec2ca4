from copy import deepcopy

import orjson
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cluster.sharing import Sharing

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=3), below, max_size=4),
    max_leaves=20,
)


@given(st.lists(st.dictionaries(st.text(max_size=3), JSON, max_size=4), max_size=6))
def test_what_comes_out_is_what_went_in(manifests):
    sharing = Sharing()
    before = orjson.dumps(manifests)  # unlike ==, it tells 1 from true
    assert orjson.dumps([sharing.manifest(each) for each in manifests]) == before
    assert orjson.dumps(manifests) == before


def test_what_recurs_is_kept_once():
    sharing = Sharing()
    probe = {"httpGet": {"path": "/health", "port": 5000}}
    kept = [sharing.manifest({"spec": {"name": f"w{at}", "probe": deepcopy(probe)}}) for at in range(4)]
    assert kept[3]["spec"]["probe"] is kept[2]["spec"]["probe"]
    assert kept[3]["spec"]["name"] == "w3"
