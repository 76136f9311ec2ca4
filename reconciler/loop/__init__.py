"""The cycle, what it looks at and what wakes it.

cycle.py     reconcile_once: the story in six lines
view.py      what is seen, by workspace
facts.py     since when something is so, and what we put back
references.py  who names which ConfigMap
rollout.py   how far each pushed revision has come
planner.py   plans remembered for workspaces that did not change
execute.py   steps into calls
ledger.py    holds published, acknowledgements, deletions done, open contests
asked.py     acknowledgements from the command line
daemon.py    wake-ups, timers, shutdown
"""
