"""`python -m inference_server [--host H]`: serves by settings.json until SIGTERM."""

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Mapping

from artifacts import report
from artifacts.errors import RuntimeFailure

from .settings import Settings, location

LOG = logging.getLogger(__name__)
FORMAT = "%(asctime)s %(levelname)s %(message)s"


def main() -> int:
    """0 after a signal, 1 where another try may help, 2 where it is useless."""
    parser = argparse.ArgumentParser(prog="inference_server", description="Serves a model with adapters.")
    parser.add_argument("--host", default=os.environ.get("HOST", "0.0.0.0"), help="address to listen on")
    host: str = parser.parse_args().host
    logging.basicConfig(level=logging.INFO, format=FORMAT, stream=sys.stdout)
    warnings.simplefilter("ignore", FutureWarning)  # of libraries about each other
    for noisy in ("httpx", "bitsandbytes", "transformers", "torch", "ContinuousBatchingLogger"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    try:
        settings = _settings()
    except RuntimeFailure as failure:
        return report.fail(failure)
    if settings.runtime == "vllm":
        from . import vllm

        return vllm.run(settings, host)

    def work() -> Mapping[str, object]:
        from . import serve

        return serve.run(settings, host)

    return report.run(work)


def _settings() -> Settings:
    try:
        return Settings.load()
    except (OSError, ValueError) as error:
        told = " ".join(str(error).split())[:500]
        raise RuntimeFailure("BadConfig", f"{location()}: {told}", "mount the settings there") from None


if __name__ == "__main__":
    sys.exit(main())
