"""Stands in for a Celery worker: ready at once, says so, has a child of its own, stops on SIGTERM.

FAKE_WORKER chooses how it misbehaves: "crash" ends at once, "stubborn" ignores SIGTERM.
"""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path


def main() -> None:
    """Play the worker until SIGTERM."""
    how = os.environ.get("FAKE_WORKER", "")
    if how == "crash":
        print("the disk is on fire")
        sys.exit(3)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, signal.SIG_IGN if how == "stubborn" else lambda *_: stop.set())
    grandchild = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
    ready = Path(os.environ["ION_READY_FILE"])
    ready.write_text(os.environ["ION_BROKER_URL"])
    print(f"consuming as {os.getpid()}", flush=True)
    stop.wait()
    ready.unlink()
    grandchild.kill()
    grandchild.wait()
    print("stopped in good order", flush=True)


if __name__ == "__main__":
    main()
