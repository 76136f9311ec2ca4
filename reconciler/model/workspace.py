"""What people write in Git: the Kaito Workspace, typed."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a file, with all a person needs to mend it."""

    path: str
    line: int
    field: str
    value: str
    rule: str
    remedy: str

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else self.path
        shown = f" {self.value!r}" if self.value else ""
        return f"{where}: {self.field or 'document'}{shown}: {self.rule}; {self.remedy}"


class Workspace(BaseModel):
    """A Workspace manifest; `raw` is the document as written, with its namespace filled in."""

    raw: dict[str, Any] = {}
