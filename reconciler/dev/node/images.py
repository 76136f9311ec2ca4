"""Which images run as local processes: a YAML table, the first row whose glob matches counts.

    - image: registry.local/tuner*
      python: current               # or a virtual environment's folder: its `bin` leads PATH
      command: [python, -m, tuner]  # as an image's ENTRYPOINT
      args: [--verbose]             # CMD
      workingDir: /srv/tuner        # WORKDIR; the container's own folder if absent
      env: {OMP_NUM_THREADS: "1"}   # ENV
      hostArgument: --host          # or hostEnv: NAME: how the program is told the address to listen on

A container's command and arguments replace the row's. All pods share this machine's ports.
"""

import sys
from pathlib import Path

from pydantic import Field

from reconciler.dev.rows import Row

from .runtime import NotStarted


class Image(Row):
    image: str
    python: str | None = None
    command: tuple[str, ...] = Field(min_length=1)
    args: tuple[str, ...] = ()
    working_dir: Path | None = None
    env: dict[str, str] = Field(default={})
    host_argument: str | None = None
    host_env: str | None = None
    # Told as an Event of each pod.
    note: str = ""

    def programs(self) -> list[str]:
        """Folders that lead PATH. Raises NotStarted where the environment is not there."""
        folder = Path(sys.prefix if self.python == "current" else self.python or "") / "bin"
        if self.python and not (folder / "python").exists():
            told = f"image table, row {self.image}: {folder} holds no python; create the environment"
            raise NotStarted("ErrImagePull", told)
        return [str(folder)] if self.python else []
