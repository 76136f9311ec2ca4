"""Runs one program and ends whatever is left of it: a script of its own, started for each container.

`supervisor.py PARENT PROGRAM [ARGUMENT...]` exits as the program did (128 + n after signal n). SIGTERM is
passed on; SIGUSR1 kills the program, and comes by itself when PARENT ends, however it ends. Descendants
never outlive the program: the supervisor adopts those that lose their parent, and kills them.
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    wanted = {signal.SIGTERM, signal.SIGUSR1}
    signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    prctl(PR_SET_PDEATHSIG, signal.SIGUSR1)
    if os.getppid() != parent:
        return
    program = os.fork()
    if program == 0:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, wanted)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.execvp(command[0], command)
    signal.signal(signal.SIGTERM, lambda *_: _kill(program, signal.SIGTERM))
    signal.signal(signal.SIGUSR1, lambda *_: _kill(program, signal.SIGKILL))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, wanted)
    code = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
    _end_the_rest()
    os._exit(code if code >= 0 else 128 - code)


def _end_the_rest() -> None:
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    with contextlib.suppress(ChildProcessError, FileNotFoundError):  # a kernel may not list children
        while True:
            for child in children.read_text().split():
                _kill(int(child), signal.SIGKILL)
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.002)


def _kill(process: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


if __name__ == "__main__":
    main()
