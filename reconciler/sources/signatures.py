"""Guarded files: only a commit signed by an allowed signer may change them.

What counts is where a file's content came from. It is trusted where it is what the newest signed commit
that changed it made of it, or what it was in the commit where trust begins. A signed commit makes up for
unsigned ones before it. An unsigned merge is harmless as long as it takes from each side what that side
changed; one that decides anything itself is a change like any other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..model import globs
from ..model.declared import ParsedFile
from ..model.settings import SignaturePolicy
from ..model.workspace import Problem
from ..repo.history import MAX_COMMITS, Step
from ..repo.merging import Merge
from ..repo.mirror import Mirror
from ..repo.signatures import Signers, doubt
from .globs import Globs

Files = Mapping[str, ParsedFile]
Read = Callable[[str, str], ParsedFile]
"""What the file at a path says with the content of a blob."""
REASON = "Unsigned"
_REMEDY = (
    "have an allowed signer change the file in a signed commit, or put back what was there; "
    "what runs stays as it is until then"
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Of a file whose content is not trusted; `trusted` are the blobs that would be, None for no file."""

    rule: str
    trusted: frozenset[str | None] = frozenset()


@dataclass
class _Origins:
    """By path: what signed commits made of a file, and which unsigned commit changed it last."""

    signed: dict[str, set[str | None]] = field(default_factory=dict)
    blamed: dict[str, str] = field(default_factory=dict)


def untrusted(
    history: Sequence[Step],
    before: Mapping[str, str | None],
    now: Mapping[str, str],
    guarded: Callable[[str], bool],
    doubted: Callable[[Step], str | None],
) -> dict[str, Refusal]:
    """By path, the guarded files whose content nobody who may has signed for.

    `history` has children first. `before` has, for each path that differs between the trusted commit and
    now, its blob in the former. `doubted` says what is wrong with a commit's signature.
    """
    origins = _origins(history, guarded, doubted)
    found = {}
    for path in sorted({*origins.signed, *origins.blamed, *filter(guarded, before)}):
        blob = now.get(path)
        trusted = frozenset(origins.signed.get(path) or {before.get(path, blob)})
        if blob not in trusted or (path in origins.blamed and len(trusted) > 1):
            rewound = "its history was rewound to before what an allowed signer last signed"
            found[path] = Refusal(origins.blamed.get(path, rewound), trusted)
    return found


def _origins(
    history: Sequence[Step], guarded: Callable[[str], bool], doubted: Callable[[Step], str | None]
) -> _Origins:
    """A path that a signed commit changed is settled for all commits before it."""
    origins = _Origins()
    settled: dict[str, frozenset[str]] = {}
    for step in history:
        known = settled.pop(step.sha, frozenset())
        who = f"commit {step.sha[:12]}" if step.sha else "the merge"
        changed = [c for c in step.changes if c.path not in known and guarded(c.path)]
        why = doubted(step) if changed else None
        for change in changed:
            if why:
                origins.blamed.setdefault(change.path, f"{who} changed it and {why}")
            else:
                origins.signed.setdefault(change.path, set()).add(change.new_blob)
        if not why:
            known = known.union(change.path for change in changed)
        for parent in step.parents:
            settled[parent] = settled.get(parent, frozenset()) | known
    return origins


@dataclass(frozen=True, slots=True)
class Proposed:
    """A pull request's head, the ref that brings it, and what merging it would make."""

    head: str
    ref: str
    merge: Merge

    def step(self, base: str) -> Step:
        """The merge commit that is not there yet, and that nobody will have signed."""
        own = tuple(change for change in self.merge.changes if change.path in self.merge.decided)
        return Step("", (base, self.head), own, None)


class Guard:
    """One policy, and how far it is met. Not for several threads."""

    def __init__(self, policy: SignaturePolicy, mirror: Mirror, watched: Globs) -> None:
        self._mirror = mirror
        self._watched = watched
        self._paths = policy.paths
        self._patterns = [globs.split(pattern) for pattern in policy.paths]
        self._signers = Signers(policy.allowed_signers_file, policy.keyring_file)
        self.trusted = policy.since
        """The commit up to which all is trusted, as far as was judged."""
        self._version = ""
        self._doubts: dict[str, str | None] = {}

    def changed(self) -> bool:
        """Whether other signers are allowed than when it was last judged."""
        return self._version != self._signers.version()

    def judged(self, revision: str, files: Files, read: Read, proposed: Proposed | None = None) -> Files:
        """`files`, where each whose content is not trusted has that as its first problem; those that were
        deleted without a signature are among them again. Raises what a fetch raises.

        With `proposed` they are those of its merge into `revision`.
        """
        if self.changed():
            self._version, self._doubts = self._signers.version(), {}
        refusals = self._refusals(revision, {path: file.blob for path, file in files.items()}, proposed)
        if not refusals:
            self.trusted = self.trusted if proposed else revision
            return files
        return {**files, **{path: _refused(path, why, files, read) for path, why in refusals.items()}}

    def _refusals(
        self, revision: str, now: Mapping[str, str], proposed: Proposed | None
    ) -> dict[str, Refusal]:
        folders = self._watched.prefixes()
        history = self._history(revision, proposed, folders)
        changes = self._mirror.changes(self.trusted, revision, folders)
        before = {change.path: change.old_blob for change in proposed.merge.changes} if proposed else {}
        before |= {change.path: change.old_blob for change in changes}
        if history is not None:
            return untrusted(history, before, now, self.guards, self._doubt)
        begin = f"since {self.trusted[:12]}" if self.trusted else "of this repository"
        rule = f"the history {begin} is not at hand or longer than {MAX_COMMITS} commits"
        known = {path: Refusal(rule, frozenset({blob})) for path, blob in before.items() if self.guards(path)}
        return known | dict.fromkeys(self._paths, Refusal(rule))

    def _history(
        self, revision: str, proposed: Proposed | None, folders: Sequence[str]
    ) -> Sequence[Step] | None:
        if proposed is None:
            return self._mirror.history([revision], self.trusted, folders)
        tips = [revision, proposed.head]
        found = self._mirror.history(tips, self.trusted, folders, proposed.ref)
        return None if found is None else [proposed.step(revision), *found]

    def guards(self, path: str) -> bool:
        """Whether a file counts only as it is signed for."""
        parts = path.split("/")
        fits = any(globs.fits(pattern, parts) for pattern in self._patterns)
        return fits and self._watched.entry_for(path) is not None

    def _doubt(self, step: Step) -> str | None:
        if step.sha not in self._doubts:
            self._doubts[step.sha] = doubt(step.signature, self._signers)
        return self._doubts[step.sha]


def _refused(path: str, refusal: Refusal, files: Files, read: Read) -> ParsedFile:
    """It is about all workspaces that it names now, or named when it was last trusted."""
    file = files.get(path) or ParsedFile(path, "")
    earlier = [read(path, blob).identities for blob in refusal.trusted if blob is not None]
    problem = Problem(path, 0, "", "", refusal.rule, _REMEDY, REASON)
    return replace(file, problems=(problem, *file.problems), identities=file.identities.union(*earlier))
