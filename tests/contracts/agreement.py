"""Whether a real server and the development one answered a request alike, and if not, why.

Not compared, being every server's own: what `comparable` leaves out.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
Version = tuple[int, int]
IDENTITY = ("uid", "resourceVersion", "selfLink", "managedFields")
TIMES = ("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")
ADDRESSES = ("clusterIP", "clusterIPs")
NEWER = ("internalTrafficPolicy", "ipFamilies", "ipFamilyPolicy")
"""Fields of a Service that servers before 1.22 do not know."""
AT = re.compile(r" at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
EMPTIED = re.compile(r'must be of type (object|array): "null"')


@dataclass(frozen=True)
class Answer:
    """`written` says whether the object has a new version."""

    code: int
    body: Object
    written: bool

    @property
    def refused(self) -> bool:
        return self.code >= 300


def comparable(answer: Answer, version: Version) -> Object:
    """What of an answer should be the same here and on a server of that version."""
    body = answer.body
    if body.get("kind") == "Status":
        causes = (body.get("details") or {}).get("causes") or ()
        told = sorted({_told(c, version) for c in causes})
        return {"code": answer.code, "reason": body.get("reason") or "", "causes": told}
    made = _without_nulls(body)
    head, spec = made["metadata"], made.get("spec", {})
    lasts = "deletionTimestamp" not in head
    for name in (*IDENTITY, *TIMES):
        head.pop(name, None)
    for name in (*ADDRESSES, *(NEWER if version < (1, 22) else ())):
        spec.pop(name, None)
    if version < (1, 22):  # an apply leaves the items of keyed lists where they are
        made = _orderless(made)
    owners = _owners(body["metadata"].get("managedFields") or ())
    return {"code": answer.code, "object": made, "owners": owners, "written": answer.written and lasts}


def _told(cause: Mapping[str, str], version: Version) -> tuple[str, str, str]:
    """Reason and field; of a conflict, which names whom to talk to, the words too."""
    reason, place = cause.get("reason", ""), cause.get("field", "")
    if reason == "FieldManagerConflict":
        return reason, place, AT.sub("", cause["message"])
    if version < (1, 27):
        return reason.replace("TypeInvalid", "Invalid"), re.sub(r"\[\d+\]", "", place), ""
    return reason, place, ""


def _owners(entries: Any) -> dict[str, list[str]]:
    """Paths by owner, whatever the subresource and the time."""
    found: dict[str, set[str]] = {}
    for entry in entries:
        owner = f"{entry['manager']} {entry['operation']} {entry['apiVersion']}"
        found.setdefault(owner, set()).update(_paths(entry.get("fieldsV1") or {}))
    return {owner: sorted(paths) for owner, paths in found.items()}


def _paths(fields: Object, path: str = "") -> Iterator[str]:
    for name, below in fields.items():
        if name.removeprefix("f:") in NEWER:
            continue
        here = path if name == "." else f"{path}/{name}"
        if name == "." or not below:
            yield here
        yield from _paths(below, here)


def _without_nulls(value: Any) -> Any:
    """Some servers write a time that is not set as null, others not at all."""
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def differences(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    """What differs between two JSON values, one line each."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in sorted({**ours, **theirs}):
            if name in ours and name in theirs:
                yield from differences(ours[name], theirs[name], f"{path}/{name}")
            else:
                yield f"{path}/{name} only {'here' if name in ours else 'there'}"
    elif ours != theirs:
        yield f"{path}: {json.dumps(ours)} here, {json.dumps(theirs)} there"


AGE = "age: "


def cause_of(ours: Answer, theirs: Answer, version: Version) -> str:
    """Why two answers disagree, in words that several such pairs share.

    It begins with `AGE` where that server is the reason: newer ones answer as the development one does.
    """
    here, there = comparable(ours, version), comparable(theirs, version)
    if version < (1, 22) and (age := _age(ours, theirs, here, there)):
        return AGE + age
    if ours.code != theirs.code:
        if theirs.refused and not ours.refused:
            return f"a check that is missing here: {_shape(theirs.body.get('message', ''))}"
        return f"{ours.code} here, {theirs.code} there"
    if "object" not in here:
        reasons = [" ".join(sorted({cause[0] for cause in side["causes"]})) for side in (here, there)]
        return f"refused for {reasons[0] or here['reason']} here, {reasons[1] or there['reason']} there"
    return _shape(next(differences(here, there)))


def _age(ours: Answer, theirs: Answer, here: Object, there: Object) -> str:
    if not ours.refused and EMPTIED.search(theirs.body.get("message", "")):
        return "a map or list that an apply empties becomes null, which is then refused"
    conflicts = [set(side.get("causes", ())) for side in (here, there)]
    owned = [
        {(o, path) for o, found in side.get("owners", {}).items() for path in found} for side in (here, there)
    ]
    same = [{**side, "owners": 0, "causes": 0} for side in (here, there)]
    if same[0] == same[1] and (conflicts[0] < conflicts[1] or owned[0] < owned[1]):
        return "an owner gets fields back that others took or removed"
    return ""


def _shape(text: str) -> str:
    """A message without the names and values of the case."""
    return (
        re.sub(r'"[^"]*"|\d+', "…", text).partition(" is invalid: ")[2][:90] or re.sub(r":.*", "", text)[:90]
    )


def _orderless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _orderless(child) for name, child in value.items()}
    if isinstance(value, list):
        return sorted((_orderless(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    return value
