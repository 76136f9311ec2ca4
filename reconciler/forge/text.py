"""Texts as forges take them: short enough, without secrets, and found again."""

from reconciler.telemetry import redacted

_CUT = "\n\n… the rest was cut: the forge takes no longer comments."


def line(text: str, limit: int) -> str:
    """One line of at most `limit` code points, which is what forges count."""
    whole = " ".join(redacted(text).split())
    return whole if len(whole) <= limit else whole[: limit - 1] + "…"


def block(text: str, limit: int) -> str:
    whole = redacted(text)
    return whole if len(whole) <= limit else whole[: limit - 1] + "…"


def comment(marker: str, body: str, limit: int) -> str:
    """The comment's text: its hidden mark, then the body."""
    whole = f"{hidden(marker)}\n{redacted(body)}"
    return whole if len(whole) <= limit else whole[: limit - len(_CUT)] + _CUT


def hidden(marker: str) -> str:
    return f"<!-- reconciler:{marker} -->"


def same(one: str, other: str) -> bool:
    """Forges change line ends, and the space around a text."""
    return one.replace("\r\n", "\n").strip() == other.replace("\r\n", "\n").strip()
