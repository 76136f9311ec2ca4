"""Pull requests: what merging one would do is told on it, before anybody merges.

review.py     which requests to look at, and when
answer.py     one request: what it would declare, what would follow, what is told
blind.py      what that is before the cluster was seen
rollout.py    after the merge: how far each commit of the watched ref has come
approvals.py  after the merge: who said yes to what is held
rounds.py     when these look, and what happens where they cannot
"""
