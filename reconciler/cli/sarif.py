"""Findings as SARIF 2.1.0, which code hosts show beside the lines they are about."""

from collections.abc import Iterable
from typing import Any

from ..model.workspace import Problem

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
Warning_ = tuple[str, int, str]
"""Path, line and text."""


def sarif(version: str, problems: Iterable[Problem], warnings: Iterable[Warning_]) -> dict[str, Any]:
    """One run with one result for each problem (`error`) and warning (`warning`)."""
    results = [_result("problem", "error", p.path, p.line, _text(p)) for p in problems]
    results += [_result("warning", "warning", path, line, text) for path, line, text in warnings]
    rules = [
        {"id": "problem", "shortDescription": {"text": "The workspace would be refused."}},
        {"id": "warning", "shortDescription": {"text": "The workspace works or may work, with a surprise."}},
    ]
    driver = {"name": "reconciler", "version": version, "rules": rules}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def _result(rule: str, level: str, path: str, line: int, text: str) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": path}}
    if line:
        place["region"] = {"startLine": line}
    where = [{"physicalLocation": place}]
    return {"ruleId": rule, "level": level, "message": {"text": text}, "locations": where}


def _text(problem: Problem) -> str:
    value = f" {problem.value!r}" if problem.value else ""
    return f"{problem.field or 'document'}{value}: {problem.rule}; {problem.remedy}"
