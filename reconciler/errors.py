"""Every error the reconciler handles on purpose.

ReconcilerError             reason = condition reason = metric label = log field
├── InvalidSpec             the user must change something; retrying cannot help
│   └── NotPermitted        the user, or this daemon's account, may not do it
├── NotYet                  nothing is wrong; look again after `retry_after` seconds
│   └── NoCapacity          the cloud has no machines of this kind now
└── Unavailable             an outside system failed; back off
    ├── QuotaExceeded       the subscription's limit is reached; another instance type may work
    ├── NotFound            what was to be changed, or its kind, does not exist there
    └── Conflict            somebody changed the thing first; look again and decide anew

Anything else is a bug: traceback, reason `Bug`, the workspace is marked, the loop goes on.
"""


class ReconcilerError(Exception):
    """Base; `reason` is CamelCase and used verbatim as condition reason and metric label."""

    reason = "Error"
    retry_after: float | None = None

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        if retry_after is not None:
            self.retry_after = retry_after


class InvalidSpec(ReconcilerError):
    reason = "InvalidSpec"


class NotPermitted(InvalidSpec):
    reason = "NotPermitted"


class NotYet(ReconcilerError):
    reason = "NotYet"
    retry_after = 5.0


class NoCapacity(NotYet):
    reason = "NoCapacity"
    retry_after = 60.0


class Unavailable(ReconcilerError):
    reason = "Unavailable"


class QuotaExceeded(Unavailable):
    reason = "QuotaExceeded"


class NotFound(Unavailable):
    reason = "NotFound"


class Conflict(Unavailable):
    reason = "Conflict"
