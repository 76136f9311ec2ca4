"""`reconciler plan`: what the daemon would do, without doing it."""

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer

from .. import config
from ..errors import InvalidSpec
from ..model.declared import Declarations
from ..planning import render
from ..planning.comment import markdown
from ..planning.cost import bill
from ..planning.proposal import Proposal, document
from ..planning.verdict import Teller
from . import live, offline, specs
from .options import Namespace, OptionalSettings, Verbose, settings_of
from .output import FAILED, complain, say, say_json
from .posting import Post, post

CHANGES = 2
"""Exit status when something would be done, or is held back."""

Place = Annotated[
    Path | None,
    typer.Argument(help="Working directory of specs; without one the settings' Git ref.", show_default=False),
]
Style = Annotated[Literal["text", "markdown", "json"], typer.Option("--output", "-o")]


def plan(
    path: Place = None,
    settings_file: OptionalSettings = None,
    namespace: Namespace = None,
    without_cluster: Annotated[bool, typer.Option("--offline", help="Plan for an empty cluster.")] = False,
    output: Style = "text",
    sha: Post = None,
    verbose: Verbose = False,
) -> None:
    """Show what would be created, changed and deleted, and what is held back and why.

    Without --config, or with --offline, the plan is for an empty cluster. With --config the cluster
    is read, and nothing is ever written.

    Exit status: 0 nothing to do, 2 there are changes (made or held), 1 an error or an invalid spec.
    """
    settings = settings_of(settings_file)
    declarations = _declared(path, settings, namespace)
    if settings is None or without_cluster:
        proposal = offline.planned(declarations, settings)
    else:
        proposal = asyncio.run(live.planned(declarations, settings))
    _say(proposal, settings, output)
    problems = specs.problems_of(proposal.desired)
    if sha is not None:
        teller = Teller(settings.cluster if settings else "")
        validity = teller.validity(proposal.desired, problems, proposal.desired.workspaces)
        post(settings, sha, teller.planned(validity, proposal, offline.catalogues(settings)).plan)
    if problems:
        for problem in problems:
            complain(str(problem))
        raise typer.Exit(FAILED)
    if proposal.plan.steps or any(not hold.waiting for hold in proposal.plan.holds):
        raise typer.Exit(CHANGES)


def _declared(path: Path | None, settings: config.Settings | None, namespace: str | None) -> Declarations:
    if settings is None:
        if path is None:
            raise InvalidSpec("name a folder of specs, or the daemon's settings with --config")
        return specs.declared([path], namespace)
    if path is not None:
        return specs.folder(path, settings.source.paths)
    return specs.at_ref(settings)


def _say(proposal: Proposal, settings: config.Settings | None, output: str) -> None:
    match output:
        case "json":
            say_json(document(proposal))
        case "markdown":
            known = offline.catalogues(settings)
            say(markdown(proposal, bill(proposal, known), known, settings.cluster if settings else ""))
        case _:
            say(render.text(proposal))
