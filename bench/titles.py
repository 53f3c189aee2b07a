"""
What titles cost: ours beside aiohttp, requests, httpx and Scrapy with an expression.

    python -m bench.titles CACHE           some minutes; writes bench/results/titles.json
    python -m bench.titles CACHE --quick   1,000 pages, without the peers; writes nothing

The pages are documentation from Debian's packages, fetched into the folder CACHE unless they are
there. `bench/README.md` says what is measured, and how to get the peers. Linux only.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.clients import BARE, Client, clients
from bench.corpus import PAGES, fetched, pages, urls
from bench.load import Failed
from bench.machine import SERVER_CORE, machine
from bench.measurements import Figures
from bench.process import Server, children_cpu_s, machine_busy_s, serving
from bench.tables import Column, Rounds, summary, table

RESULTS = Path(__file__).with_name("results") / "titles.json"
PEERS = Path("~/.cache/dawdle-bench")
ROUNDS = 5
FEW = 8  # pages, one a host, for what every start takes
QUICK_PAGES = 1_000
MIB = 1 << 20

COLUMNS = (
    Column("cpu_s", "CPU s for 1,000 pages", 3, compared=True),
    Column("per_s", "pages a second", 0, compared=True),
    Column("peak_mib", "peak memory, MiB", 0, compared=True),
    Column("start_cpu_s", "CPU s to start", 2),
    Column("titles", "titles", 0),
    Column("others_busy", "cores others kept busy", 2),
)

Notes = list[str]  # what was left out or failed, a sentence each


# --- measuring -----------------------------------------------------------------------------------


def figures(client: Client, few: Path, many: Path, nginx: Server) -> Figures:
    """
    One turn of a client. Its start, and the few pages with it, is subtracted from the many.

    Raises:
        Failed: it did not work.
    """
    idle = Idle(nginx)
    first, last = client.fetch(few, many)
    thousands = (len(many.read_text().split()) - FEW) / 1e3
    return {
        "cpu_s": (last.cpu_s - first.cpu_s) / thousands,
        "per_s": thousands * 1e3 / (last.seconds - first.seconds),
        "peak_mib": last.peak_bytes / MIB,
        "start_cpu_s": first.cpu_s,
        "titles": last.titles,
        "others_busy": idle.others_busy(),
    }


class Idle:
    """What of the machine neither client, nor nginx, nor we have used since the making of this."""

    def __init__(self, nginx: Server) -> None:
        self._nginx = nginx
        self._begun_s = time.monotonic()
        self._busy_s = self._others_s()

    def others_busy(self) -> float:
        """How many cores others kept busy."""
        elapsed_s = time.monotonic() - self._begun_s
        return max(0.0, self._others_s() - self._busy_s) / elapsed_s

    def _others_s(self) -> float:
        ours_s = self._nginx.cpu_s() + children_cpu_s() + time.process_time()
        return machine_busy_s() - ours_s


def rounds(
    chosen: Sequence[Client], addresses: Sequence[str], nginx: Server, *, turns: int, notes: Notes
) -> Rounds:
    """Every figure of every round, by client; the clients take turns."""
    measured: dict[str, list[Figures]] = {client.name: [] for client in chosen}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        few, many = Path(folder, "few"), Path(folder, "many")
        few.write_text("\n".join(addresses[:FEW]))
        many.write_text("\n".join(addresses))
        for turn in range(turns):
            for client in chosen:
                title = f"round {turn + 1}, {client.name}"
                print(title, file=sys.stderr)
                try:
                    measured[client.name].append(figures(client, few, many, nginx))
                except (Failed, OSError) as error:
                    notes.append(f"{title}: {error}")
    return measured


def available(all_of_them: Iterable[Client], notes: Notes) -> dict[Client, str]:
    """Those that this machine has, and what they say of themselves; a note for each other."""
    found = {}
    for client in all_of_them:
        try:
            found[client] = client.described()
        except Failed as error:
            notes.append(str(error))
    return found


def document(
    found: Mapping[Client, str], corpus: Mapping[str, object], measured: Rounds, notes: Notes
) -> dict[str, object]:
    """Everything that is needed to compare this with another day, as JSON."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "pages": corpus,
        "clients": {client.name: told for client, told in found.items()},
        "notes": notes,
        "summary": {name: summary(each) for name, each in measured.items()},
        "rounds": measured,
    }


# --- the command ---------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table and write it down; 1 if something did not work."""
    options = _options(argv)
    notes: Notes = []
    found = available(_chosen(options), notes)
    left_out = len(notes)
    try:
        root = fetched(options.cache.expanduser().absolute())
        chosen = pages(root, QUICK_PAGES if options.quick else PAGES)
        static = (sys.executable, "-m", "bench.static", str(root))
        with serving(static, core=SERVER_CORE) as nginx:
            addresses = urls(root, chosen, nginx.address)
            turns = 1 if options.quick else options.rounds
            measured = rounds(list(found), addresses, nginx, turns=turns, notes=notes)
    except Failed as error:
        notes.append(str(error))
    else:
        corpus = {"count": len(chosen), "bytes": sum(page.stat().st_size for page in chosen)}
        print(table(f"{len(chosen):,} pages", measured, possible=COLUMNS, base=BARE))
        if path := _path(options):
            results = document(found, corpus, measured, notes)
            path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    for note in notes:
        print(note, file=sys.stderr)
    return int(len(notes) > left_out)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.titles", description="What titles cost; Linux only."
    )
    names = [client.name for client in clients(PEERS)]
    parser.add_argument("cache", type=Path, help="the folder where the pages are kept")
    parser.add_argument("--quick", action="store_true", help="few pages, one round, no peers")
    parser.add_argument("--only", nargs="+", choices=names, help="only these")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how many [{ROUNDS}]")
    parser.add_argument(
        "--peers", type=Path, default=PEERS, help=f"their virtual environment [{PEERS}]"
    )
    parser.add_argument("--json", type=Path, help="where the results are written")
    return parser.parse_args(argv)


def _chosen(options: argparse.Namespace) -> list[Client]:
    everybody = clients(options.peers.expanduser().absolute())
    names = options.only or [each.name for each in everybody[: 3 if options.quick else None]]
    return [client for client in everybody if client.name in names]


def _path(options: argparse.Namespace) -> Path | None:
    """Where results go: as told; results of everything to their place; others nowhere."""
    return options.json or (None if options.quick or options.only else RESULTS)


if __name__ == "__main__":
    sys.exit(main())
