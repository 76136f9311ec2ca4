"""Folders written for other tools: what lies in them means nothing before that tool has rendered it."""

from collections.abc import Mapping
from dataclasses import replace

from ..model.declared import ParsedFile
from ..model.workspace import Problem

_MARKS = {
    "kustomization.yaml": "Kustomize",
    "kustomization.yml": "Kustomize",
    "Kustomization": "Kustomize",
    "Chart.yaml": "Helm",
}
_NAMES = tuple(_MARKS)


def tool_of(path: str) -> str | None:
    """The tool whose folder a file of this name marks."""
    return _MARKS.get(path.rpartition("/")[2])


def refusal(path: str, tool: str) -> Problem:
    remedy = (
        f"run {tool} in your pipeline and commit what it renders, or leave this folder out of source.paths"
    )
    return Problem(path, 1, "", "", f"{tool} folders are not rendered here", remedy)


def refused(files: Mapping[str, ParsedFile]) -> Mapping[str, ParsedFile]:
    """`files`, where each one in or below a folder of another tool has that as its first problem."""
    marks = [path for path in files if path.endswith(_NAMES)]
    tools = {_folder(path): tool for path in marks if (tool := tool_of(path))}
    if not tools:
        return files
    return {path: _refused(file, tools) for path, file in files.items()}


def _refused(file: ParsedFile, tools: Mapping[str, str]) -> ParsedFile:
    folder: str | None = _folder(file.path)
    while folder is not None and folder not in tools:
        folder = _folder(folder) if folder else None
    if folder is None or (tool_of(file.path) and file.problems):
        return file
    return replace(file, problems=(refusal(file.path, tools[folder]), *file.problems))


def _folder(path: str) -> str:
    return path.rpartition("/")[0]
