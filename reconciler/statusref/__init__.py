"""Status as commits: one ref per cluster that people, forges and `reconciler wait` read.

    status/<2 hex>/<namespace>.<name>.json   one workspace
    index.json                               whose ref this is, every phase, the revisions that are through
    SUMMARY.md                               the same for people

A commit is made when the meaning of some workspace's file changes, and when a source revision that
changed workspaces has nothing under way any more (`settled` in index.json); so that whoever waits for
a revision learns it even where no phase changed. Times, lines and a revision that changes no
workspace never make a commit. Git is compared by content at every start, so nothing is lost or told
twice after a crash.

documents.py  the files
summary.py    SUMMARY.md
message.py    the commit message
writer.py     reads the ref, overlays, commits, pushes; blocks
channel.py    when to write, and what to do when it cannot
reader.py     what the command line reads
"""

from .channel import StatusRef
from .reader import StatusReader, Told
from .writer import ForeignStatusRef

__all__ = ["ForeignStatusRef", "StatusReader", "StatusRef", "Told"]
