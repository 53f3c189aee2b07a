"""
What a waiting request costs and how late its reply is: Dawdle beside its peers.

    python -m bench.waiting           at most 12 minutes; writes bench/results/waiting.json
    python -m bench.waiting --quick   under 20 s, without the peers; writes nothing

`bench/README.md` says what is measured, how to get the peers, and what it does not show. Linux
only: memory and CPU come from its /proc, arrival times from its sockets.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from bench.kinds import Kind, kinds
from bench.load import Failed
from bench.machine import SERVER_CORE, machine, prepare
from bench.measurements import Figures, Loops, Measurement, Waits, measure
from bench.tables import Rounds, summary, table

RESULTS = Path(__file__).with_name("results") / "waiting.json"
PEERS = Path("~/.cache/dawdle-bench")
MINUTES = 11.5

# In the order of their weight: what is last has fewer rounds where time runs out.
LONG = (
    Waits("waiting-10000", "10,000 waiting", 10_000, 4.0, 4_000, 5_000),
    Waits("herd", "10,000 sent at once, 5 s", 10_000, 0.0, 5_000, 5_000),
    Loops("no-delay", "no delay, 64 connections", 64, 1.5),
    Waits("waiting-1000", "1,000 waiting", 1_000, 0.5, 500, 1_000),
    Waits("waiting-19000", "19,000 waiting", 19_000, 7.0, 7_000, 8_000, rounds=1),
)
QUICK = (
    Loops("no-delay", "no delay, 64 connections", 64, 0.2, rounds=1),
    Waits("waiting-1000", "500 waiting", 500, 0.2, 200, 300, rounds=1),
)

Notes = list[str]  # what was left out or failed, a sentence each


# --- measuring -----------------------------------------------------------------------------------


def rounds(
    measurements: Sequence[Measurement], servers: Sequence[Kind], *, seconds: float, notes: Notes
) -> dict[str, dict[str, list[Figures]]]:
    """
    Every figure of every round, by measurement and kind of server; the kinds take turns.

    A round that would take longer than what is left of *seconds* is not begun; the first ones are.
    """
    end, took_s = time.monotonic() + seconds, dict.fromkeys(measurements, 0.0)
    measured: dict[str, dict[str, list[Figures]]] = {
        what.name: {kind.name: [] for kind in servers if what.suits(kind)} for what in measurements
    }
    for turn in range(max(what.rounds for what in measurements)):
        for what in measurements:
            begun = time.monotonic()
            if turn >= what.rounds or (turn > 0 and begun + took_s[what] > end):
                continue
            for kind in filter(what.suits, servers):
                measured[what.name][kind.name] += _turn(what, kind, turn, notes)
            took_s[what] = time.monotonic() - begun
    return measured


def _turn(what: Measurement, kind: Kind, turn: int, notes: Notes) -> list[Figures]:
    """The figures of one turn; none, and a note, where it did not work."""
    title = f"{what.title}, round {turn + 1}, {kind.name}"
    print(title, file=sys.stderr)
    try:
        return [measure(what, kind, core=SERVER_CORE)]
    except (Failed, OSError) as error:
        notes.append(f"{title}: {error}")
        return []


def available(servers: Iterable[Kind], notes: Notes) -> list[Kind]:
    """Those that this machine has; a note for each of the others."""
    found = []
    for kind in servers:
        if missing := kind.missing():
            notes.append(f"{kind.name} is left out: {missing} is not here")
        else:
            found.append(kind)
    return found


def document(
    measurements: Sequence[Measurement],
    servers: Sequence[Kind],
    measured: Mapping[str, Rounds],
    notes: Notes,
) -> dict[str, object]:
    """Everything that is needed to compare this with another day, as JSON."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "servers": {kind.name: kind.described() for kind in servers},
        "notes": notes,
        "measurements": [
            {
                **asdict(what),
                "summary": {
                    kind: summary(figures) for kind, figures in measured[what.name].items()
                },
                "rounds": measured[what.name],
            }
            for what in measurements
        ],
    }


# --- the command ---------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the tables and write them down; 1 if something did not work."""
    options = _options(argv)
    measurements = _chosen_measurements(options)
    notes: Notes = []
    servers = available(_chosen_kinds(options), notes)
    left_out = len(notes)
    try:
        prepare(max(what.connections for what in measurements))
    except Failed as error:
        notes.append(str(error))
    else:
        measured = rounds(measurements, servers, seconds=options.minutes * 60, notes=notes)
        print("\n\n".join(table(what.title, measured[what.name]) for what in measurements))
        if path := _path(options):
            results = document(measurements, servers, measured, notes)
            path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    for note in notes:
        print(note, file=sys.stderr)
    return int(len(notes) > left_out)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.waiting", description="Dawdle beside its peers; Linux only."
    )
    names = [what.name for what in LONG]
    parser.add_argument("--quick", action="store_true", help="under 20 s, without peers")
    parser.add_argument("--only", nargs="+", choices=names, help="only these measurements")
    parser.add_argument(
        "--servers", nargs="+", choices=[kind.name for kind in kinds(PEERS)], help="only these"
    )
    parser.add_argument("--rounds", type=int, help="of each measurement; as a rule 3, of 19,000 1")
    parser.add_argument(
        "--minutes", type=float, default=MINUTES, help="no round is begun that would take longer"
    )
    parser.add_argument(
        "--peers", type=Path, default=PEERS, help=f"their virtual environment [{PEERS}]"
    )
    parser.add_argument("--json", type=Path, help="where the results are written")
    return parser.parse_args(argv)


def _chosen_measurements(options: argparse.Namespace) -> list[Measurement]:
    scale: Sequence[Measurement] = QUICK if options.quick else LONG
    return [
        replace(what, rounds=options.rounds or what.rounds)
        for what in scale
        if options.only is None or what.name in options.only
    ]


def _chosen_kinds(options: argparse.Namespace) -> list[Kind]:
    return [
        kind for kind in kinds(options.peers.expanduser().absolute()) if _is_wanted(kind, options)
    ]


def _is_wanted(kind: Kind, options: argparse.Namespace) -> bool:
    if options.servers:
        return kind.name in options.servers
    return not (options.quick and kind.needs)


def _path(options: argparse.Namespace) -> Path | None:
    """Where results go: as told; results of everything to their place; others nowhere."""
    everything = not (options.quick or options.only or options.servers)
    return options.json or (RESULTS if everything else None)


if __name__ == "__main__":
    sys.exit(main())
