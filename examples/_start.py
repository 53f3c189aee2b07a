"""
How an example begins, written once so that each file has only its own idea.

    python examples/NAME.py [URL] [--before] [--scale NUMBER]
"""

import argparse
import asyncio
import inspect
import json
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.request import Request, urlopen


def start(main: Callable[..., object], before: Callable[..., object] | None = None) -> None:
    """
    Run *main*, or with `--before` the other way of doing it, and give it what it asks for by name.

    base_url: where Dawdle is; from the command line, else DAWDLE_URL, else port 3000 here.
    run: the name under which Dawdle records what we do; DAWDLE_RUN, else one of our own.
    scale: what Dawdle multiplies every delay by, so that our own clocks keep step with it.
    """
    options = _options(before is not None)
    way = before if before and options.before else main
    wanted = inspect.signature(way).parameters
    name = f"{Path(sys.argv[0]).stem}-{secrets.token_hex(3)}"
    given = {"base_url": options.url, "run": os.environ.get("DAWDLE_RUN", name), "scale": 1.0}
    if "base_url" in wanted:
        given["scale"] = _scale_of(options.url)
    if options.scale is not None:
        given["scale"] = options.scale
    result = way(**{each: given[each] for each in wanted})
    if inspect.iscoroutine(result):
        asyncio.run(result)
    if "base_url" in wanted and "DAWDLE_RUN" not in os.environ:
        print(f"timeline: {options.url}/runs/{name}", file=sys.stderr)


def _options(has_before: bool) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="See the first lines of the file, or --source.")
    parser.add_argument("url", nargs="?", type=lambda url: url.rstrip("/"), help="where Dawdle is")
    parser.add_argument("--scale", type=float, help="what every wait is multiplied by")
    if has_before:
        parser.add_argument("--before", action="store_true", help="the other way of doing it")
    parser.set_defaults(url=os.environ.get("DAWDLE_URL", "http://127.0.0.1:3000"), before=False)
    return parser.parse_args()


def _scale_of(url: str) -> float:
    """The time scale of the server, which also shows that there is one."""
    token = os.environ.get("DAWDLE_TOKEN", "")
    try:
        with urlopen(
            Request(f"{url}/plan?seed=0&n=1", headers={"Authorization": f"Bearer {token}"})
        ) as it:
            return float(json.load(it)["time_scale"])
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"no Dawdle answers at {url} ({error}); start one with: dawdle serve")
