"""Become a child process that the watchdog already knows: ``enrol.py FD STAGE PROGRAM ARGS...``.

The supervisor may be killed at any instant, also between starting a child and telling the watchdog.
So the child tells it: it writes its own group into the watchdog's pipe, closes the pipe, and only then
becomes PROGRAM.  Standard library only; about 10 ms.
"""

import os
import signal
import sys


def main() -> None:
    """Enrol this process and replace it by the program on the command line."""
    pipe, stage, program = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    os.write(pipe, f"+{os.getpid()} {stage}\n".encode())
    os.close(pipe)
    for ignored in ("SIGPIPE", "SIGXFSZ"):  # Python ignores these, and exec would hand that on
        signal.signal(getattr(signal, ignored), signal.SIG_DFL)
    try:
        os.execvp(program[0], program)  # noqa: S606 - our own program, no shell
    except OSError as error:
        sys.exit(f"{program[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
