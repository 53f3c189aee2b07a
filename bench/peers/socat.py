"""socat as an echo: a process for each connection."""

import os
import shutil
import socket
import sys
import time

PROGRAM = "socat"


def main() -> None:
    """Find a free port, announce it, and become socat."""
    program = shutil.which(PROGRAM)
    if program is None:
        sys.exit(f"{PROGRAM} is not here")
    with socket.create_server(("127.0.0.1", 0)) as attempt:
        port = attempt.getsockname()[1]
    if os.fork():
        listen = f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,backlog=4096,nodelay"
        os.execv(program, [program, listen, "PIPE"])
    time.sleep(0.3)  # until it listens
    print(f"echo 127.0.0.1:{port}", flush=True)


if __name__ == "__main__":
    main()
