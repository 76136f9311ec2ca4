"""Links as they may be shown, and until when they are good: queries and logins are secrets, never shown."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import httpx

_MAX_CHARACTERS = 300


def shown(url: httpx.URL | str) -> str:
    """Without login, query and fragment."""
    bare = re.split(r"[?#]", str(url), maxsplit=1)[0]
    bare = re.sub(r"//[^/]*@", "//", bare)
    bare = "".join(letter if letter.isprintable() else "?" for letter in bare)
    return bare if len(bare) <= _MAX_CHARACTERS else bare[:_MAX_CHARACTERS] + "…"


def expiry(url: httpx.URL) -> datetime | None:
    """When a signed link ends: Azure's `se`, Amazon's and Google's date and lifetime, an `Expires`."""
    query = dict(parse_qsl(url.query.decode("ascii", "replace")))
    try:
        if "se" in query:
            ends = datetime.fromisoformat(query["se"])
            return ends if ends.tzinfo else ends.replace(tzinfo=UTC)
        for vendor in ("X-Amz", "X-Goog"):
            if f"{vendor}-Date" in query:
                begins = datetime.strptime(query[f"{vendor}-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
                return begins + timedelta(seconds=int(query[f"{vendor}-Expires"]))
        return datetime.fromtimestamp(int(query["Expires"]), UTC) if "Expires" in query else None
    except (ValueError, KeyError, OverflowError, OSError):
        return None
