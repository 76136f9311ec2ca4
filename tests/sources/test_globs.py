"""Globs of the settings."""

import time

import pytest

from reconciler.model.settings import PathEntry
from reconciler.sources.globs import Globs

ROWS = {
    "** spans folders": ("workspaces/**/*.yaml", "workspaces/a/b/c.yaml", True),
    "** spans none": ("workspaces/**/*.yaml", "workspaces/c.yaml", True),
    "** at the start": ("**/*.yaml", "c.yaml", True),
    "** at the end": ("a/**", "a/b/c", True),
    "a prefix must match": ("workspaces/**/*.yaml", "other/c.yaml", False),
    "* stays in its folder": ("a/*.yaml", "a/b/c.yaml", False),
    "* matches nothing too": ("a/x*.yaml", "a/x.yaml", True),
    "? is one character": ("a/?.yaml", "a/bc.yaml", False),
    "a bracket is literal": ("a/[b].yaml", "a/b.yaml", False),
    "a dot is literal": ("*.yaml", "xyaml", False),
    "case matters": ("*.yaml", "x.YAML", False),
    "two **": ("**/team/**/*.yaml", "x/team/y/team/z.yaml", True),
    "a leading slash means the root": ("/a/*.yaml", "a/b.yaml", True),
}


@pytest.mark.parametrize(("include", "path", "matches"), ROWS.values(), ids=ROWS.keys())
def test_match(include, path, matches):
    entry = PathEntry(include=include)
    assert Globs([entry]).entry_for(path) == (entry if matches else None)


def test_the_first_entry_wins():
    first, second = PathEntry(include="a/**/*.yaml", namespace="a"), PathEntry(namespace="rest")
    globs = Globs([first, second])
    assert globs.entry_for("a/x.yaml") is first
    assert globs.entry_for("b/x.yaml") is second


def test_prefixes_are_the_folders_that_can_match():
    includes = ["teams/a/**/*.yaml", "teams/*/x.yaml", "teams/a/b/*.yaml", "other/x.yaml"]
    assert Globs([PathEntry(include=i) for i in includes]).prefixes() == ("other", "teams")
    assert Globs([PathEntry(include="x/*.yaml"), PathEntry()]).prefixes() == ("",)


def test_many_stars_are_no_trap():
    globs = Globs([PathEntry(include="*a" * 40 + "b"), PathEntry(include="**/a/" * 40 + "b")])
    start = time.process_time()
    assert globs.entry_for("a" * 4000) is None
    assert globs.entry_for("a/" * 2000 + "c") is None
    assert time.process_time() - start < 3
