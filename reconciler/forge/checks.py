"""GitHub by check runs, which only an App may make: they have remarks on lines and no limit of number."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from reconciler.model.review import Annotation, Check, CheckState, Request
from reconciler.model.settings import ForgeSettings, GitHubApp

from . import text
from .driver import Place
from .github import GitHub, address
from .logins import Installation
from .wire import Wire

ANNOTATIONS_PER_REQUEST = 50
_MESSAGE_LIMIT = 4096
"""Code points; GitHub takes 64 KiB."""
_NEED_READ, _NEED_WRITE = "checks: read", "checks: write"
_CONCLUSIONS: dict[str | None, CheckState] = {
    "success": "success",
    "neutral": "neutral",
    "skipped": "neutral",
}


class GitHubChecks(GitHub):
    def __init__(self, settings: ForgeSettings, app: GitHubApp) -> None:
        self._installation = Installation(app, address(settings))
        super().__init__(settings, Wire(address(settings), self._installation))
        self._app: tuple[int, str] | None = None
        self._runs: dict[str, dict[str, int]] = {}
        """Runs by context, of each commit in mind."""

    async def close(self) -> None:
        await super().close()
        await self._installation.app.close()

    def _as_told(self, check: Check) -> Check:
        short = text.line(check.description, self.description_limit)
        remarks = (replace(a, message=_message(a)) for a in check.annotations)
        return replace(check, description=short, annotations=tuple(dict.fromkeys(remarks)))

    async def _said(self, sha: str, request: Request | None) -> dict[str, Check]:
        """Our App's own runs; another's of the same name are neither shown nor changed by us."""
        path = f"{self._repo}/commits/{sha}/check-runs"
        app, _ = await self._app_itself()
        asked = {"filter": "latest", "app_id": app}
        found: dict[str, Check] = {}
        runs = self._runs[sha] = {}
        for run, check, remarks in await self._wire.read_all(path, _run, _NEED_READ, asked):
            if check.context not in found:  # newest first
                runs[check.context] = run
                there = await self._annotations(run) if remarks else ()
                found[check.context] = replace(check, annotations=tuple(there))
        return found

    def _forget(self, place: Place) -> None:
        super()._forget(place)
        self._runs.pop(place[0], None)

    async def _annotations(self, run: int) -> Sequence[Annotation]:
        path = f"{self._repo}/check-runs/{run}/annotations"
        return await self._wire.read_all(path, _annotation, _NEED_READ)

    async def _send(self, sha: str, check: Check, request: Request | None, before: Check | None) -> None:
        """GitHub adds annotations and takes none away, so those that are there are not sent again."""
        there = set(before.annotations) if before else set()
        remarks = [_remark(each, check) for each in check.annotations if each not in there]
        first, rest = remarks[:ANNOTATIONS_PER_REQUEST], remarks[ANNOTATIONS_PER_REQUEST:]
        runs = self._runs.setdefault(sha, {})
        run = runs.get(check.context)
        if run is None:
            body = {
                "name": check.context,
                "head_sha": sha,
                "external_id": check.context,
                **_body(check, first),
            }
            run = await self._wire.ask(
                f"{self._repo}/check-runs", body, lambda made: int(made["id"]), _NEED_WRITE
            )
            runs[check.context] = run
        else:
            await self._change(run, check, first)
        while rest:
            first, rest = rest[:ANNOTATIONS_PER_REQUEST], rest[ANNOTATIONS_PER_REQUEST:]
            await self._change(run, check, first)

    async def _change(self, run: int, check: Check, remarks: Sequence[Any]) -> None:
        path = f"{self._repo}/check-runs/{run}"
        await self._wire.write("PATCH", path, _body(check, remarks), _NEED_WRITE)

    async def _who(self) -> str:
        """Brackets are in no person's name."""
        _, slug = await self._app_itself()
        return f"{slug}[bot]"

    async def _app_itself(self) -> tuple[int, str]:
        if self._app is None:
            app = self._installation.app
            self._app = await app.read(
                "/app", lambda body: (int(body["id"]), str(body["slug"])), "an App's key"
            )
        return self._app


def _body(check: Check, remarks: Sequence[Any]) -> dict[str, Any]:
    output = {"title": check.description, "summary": check.description, "annotations": list(remarks)}
    over = {"status": "in_progress"}
    if check.state != "pending":
        over = {"status": "completed", "conclusion": check.state}
    return {**over, **({"details_url": check.link} if check.link else {}), "output": output}


def _message(annotation: Annotation) -> str:
    return text.block(annotation.message, _MESSAGE_LIMIT)


def _remark(annotation: Annotation, check: Check) -> dict[str, Any]:
    return {
        "path": annotation.path,
        "start_line": annotation.line,
        "end_line": annotation.line,
        "annotation_level": "failure" if check.state == "failure" else "warning",
        "message": annotation.message,
    }


def _annotation(found: Any) -> Annotation:
    return Annotation(found["path"], found["start_line"], found["message"])


def _run(run: Any) -> tuple[int, Check, int]:
    """Id, check, and how many annotations it has."""
    done = run["status"] == "completed"
    state = _CONCLUSIONS.get(run["conclusion"], "failure") if done else "pending"
    output = run["output"]
    check = Check(run["name"], state, output["title"] or "", run["details_url"] or "")
    return run["id"], check, output["annotations_count"]
