"""What this process counts and logs. One meter for the process; nobody else names a metric.

metrics.py    every metric, in one list
meter.py      what the shell reports, turned into metrics
fleet.py      gauges over all workspaces at the cost of the change
logs.py       log lines to stderr
redaction.py  what takes secrets out of everything that leaves the process
"""

from .logs import configure_logging
from .meter import Meter
from .redaction import redacted, register_secret

meter = Meter()

begin = meter.begin
costs = meter.costs
cycle = meter.cycle
cycle_failed = meter.cycle_failed
exposition = meter.exposition
failed = meter.failed
fleet_changed = meter.fleet_changed
leads = meter.leads
missed_changes = meter.missed_changes
request = meter.request
reached = meter.reached
reviewed = meter.reviewed
runs = meter.runs
source_read = meter.source_read
watch_lag = meter.watch_lag
webhook = meter.webhook
write_back = meter.write_back
write_back_blocked = meter.write_back_blocked

__all__ = [
    "Meter",
    "begin",
    "configure_logging",
    "costs",
    "cycle",
    "cycle_failed",
    "exposition",
    "failed",
    "fleet_changed",
    "leads",
    "meter",
    "missed_changes",
    "reached",
    "redacted",
    "register_secret",
    "request",
    "reviewed",
    "runs",
    "source_read",
    "watch_lag",
    "webhook",
    "write_back",
    "write_back_blocked",
]
