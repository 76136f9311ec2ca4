"""`python -m artifacts`: the init container that pulls, and a push by hand.

python -m artifacts pull IMAGE FOLDER [--auth FILE ...] [--under data]
python -m artifacts push FOLDER IMAGE --base-model NAME [--annotation KEY=VALUE ...] [--auth FILE ...]
"""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import report
from .annotations import CONTENT_KEY
from .credentials import Credentials
from .pull import pull
from .push import push_adapter


def main(arguments: Sequence[str] | None = None) -> int:
    """0 done, 1 trying again may help, 2 it is useless."""
    given = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    return report.run(lambda: given.command(given))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="artifacts", description="OCI images of adapters and data sets.")
    commands = parser.add_subparsers(required=True)
    puller = commands.add_parser("pull", help="an image's files become the contents of a folder")
    puller.add_argument("image")
    puller.add_argument("folder", type=Path, help="its contents are replaced")
    puller.add_argument("--under", default="data", help="the folder in the image (default: data)")
    puller.set_defaults(command=_pull)
    pusher = commands.add_parser("push", help="a folder with an adapter becomes an image")
    pusher.add_argument("folder", type=Path)
    pusher.add_argument("image")
    pusher.add_argument("--base-model", required=True, help="what the adapter was trained on")
    pusher.add_argument("--annotation", action="append", default=[], type=_pair, metavar="KEY=VALUE")
    pusher.set_defaults(command=_push)
    for command in (puller, pusher):
        command.add_argument(
            "--auth",
            action="append",
            default=[],
            type=Path,
            metavar="FILE",
            help="Docker configuration files, tried in this order; absent ones are skipped",
        )
    return parser


def _pull(given: argparse.Namespace) -> Mapping[str, object]:
    pulled = pull(
        given.image, given.folder, credentials=Credentials.from_files(given.auth), under=given.under
    )
    print(pulled.digest)  # noqa: T201
    return {"artifact": {"image": given.image, "digest": pulled.digest, "size": pulled.size}}


def _push(given: argparse.Namespace) -> Mapping[str, object]:
    annotations = dict(given.annotation)
    pushed = push_adapter(
        given.folder,
        given.image,
        credentials=Credentials.from_files(given.auth),
        annotations=annotations,
        base_model=given.base_model,
    )
    print(pushed.digest)  # noqa: T201
    artifact = {"image": given.image, "digest": pushed.digest, "size": pushed.size, "adopted": False}
    return {"artifact": {**artifact, "contentKey": annotations.get(CONTENT_KEY, "")}}


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


if __name__ == "__main__":
    sys.exit(main())
