"""CEL rules of custom resources (`x-kubernetes-validations`), evaluated by a CEL library.

The library has the standard functions and the strings, lists, sets and math extensions; what Kubernetes adds
beyond them (quantities, URLs, formats, optional values) it has not, so a rule that uses those is refused.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import cel
from cel.stdlib import STDLIB_FUNCTIONS, add_stdlib_to_context

KNOWN = {
    *STDLIB_FUNCTIONS,
    *("bool", "bytes", "contains", "double", "duration", "dyn", "endsWith", "getDate", "getDayOfMonth"),
    *("getDayOfWeek", "getDayOfYear", "getFullYear", "getHours", "getMilliseconds", "getMinutes", "getMonth"),
    *("getSeconds", "has", "int", "matches", "size", "startsWith", "string", "timestamp", "type", "uint"),
}


@dataclass(frozen=True)
class Rule:
    """One compiled rule; a `transition` compares with the old value and holds where there is none."""

    program: cel.Program
    message: str
    reason: str
    transition: bool

    def failure(self, value: Any, old: Any) -> str:
        """Why the rule does not hold; empty where it does."""
        if self.transition and old is None:
            return ""
        context = cel.Context({"self": value, **({"oldSelf": old} if self.transition else {})})
        add_stdlib_to_context(context)
        try:
            return "" if self.program.execute(context) else self.message
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            return f"{self.message} (it could not be evaluated: {error})"


def compiled(rules: Iterable[Mapping[str, Any]]) -> tuple[Rule, ...]:
    """Raises ValueError for what the library cannot evaluate."""
    return tuple(_rule(rule) for rule in rules)


def _rule(rule: Mapping[str, Any]) -> Rule:
    text = rule["rule"].strip()
    program = cel.compile(text)
    unknown = {name for name in program.functions() if name[0].isalpha()} - KNOWN
    if unknown or rule.get("optionalOldSelf"):
        raise ValueError(
            f"the rule {text!r} needs {', '.join(unknown) or 'optionalOldSelf'}, not served here"
        )
    message = rule.get("message") or f"failed rule: {text}"
    return Rule(program, message, rule.get("reason") or "FieldValueInvalid", "oldSelf" in program.variables())
