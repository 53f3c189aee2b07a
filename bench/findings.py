"""
Real clients against a real server: what each is told, as the rows of docs/findings.md.

    python -m bench.findings
"""

import tempfile
from pathlib import Path

from tests.live.clients import BAD, GOOD, browser
from tests.live.process import Dawdle, environment, until


def main() -> None:
    """Print a row for each client."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Dawdle(Path(folder), environ=environment()).listening() as server,
    ):
        print("| client | told | in these words |\n|---|---|---|")
        for client in (*BAD, *GOOD):
            if "browser" in client.words and browser() is None:
                continue
            run = server.make_run()
            client.script(f"{server.url}/aio?run={run}")
            until(lambda run=run: server.in_flight(run) == 0, "the last reply")  # type: ignore[misc]
            for found in server.report(run)["findings"]:
                told = f"`{found['code']}` ({found['severity']})"
                print(f"| {client.words} | {told} | {found['sentence']} |")
            if not server.report(run)["findings"]:
                print(f"| {client.words} | nothing | |")


if __name__ == "__main__":
    main()
