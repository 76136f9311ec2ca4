"""What the daemon serves over HTTP: metrics, probes, webhooks.

server.py      the server
hooks.py       endpoints for webhooks
deliveries.py  what a delivery proves, and what it is a hint of
limits.py      what came before, and what comes too often
"""

from .deliveries import Nudge
from .hooks import Hook
from .server import Probes, Web, serve

__all__ = ["Hook", "Nudge", "Probes", "Web", "serve"]
