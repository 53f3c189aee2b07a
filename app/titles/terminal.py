"""What the command line shows while it fetches: results on standard output, progress below."""

import shutil
import sys
from collections.abc import Iterable
from typing import TextIO

from app.clock import SECOND_NS
from app.formats import count_text, length_text
from app.plain import plain
from app.titles.job import Job
from app.titles.results import Result

WIDEST_URL = 60  # of the column of URLs; longer ones push their titles to the right
BAR = 24  # columns


class Terminal:
    """
    Standard output for results, standard error for how far it is.

    *urls* are those to come, so that titles can stand in a column. Without *shows_results* they go
    elsewhere. Where standard output is no terminal, a tab stands between the columns.
    """

    def __init__(self, urls: Iterable[str], *, shows_results: bool) -> None:
        self._shows_results = shows_results
        self._column = min(WIDEST_URL, max(map(len, urls), default=0))
        self._progress = ""  # as it stands on the last line

    def results(self, results: Iterable[Result]) -> None:
        """Show what has come."""
        if self._shows_results:
            self._clear()
            _print(sys.stdout, "".join(f"{self._line(result)}\n" for result in results))

    def _line(self, result: Result) -> str:
        url = plain(result.url)
        if sys.stdout.isatty():
            return f"{url:<{self._column}}  {told(result)}"
        return f"{url}\t{told(result)}"

    def progress(self, job: Job) -> None:
        """Show how far it is, where somebody watches."""
        if sys.stderr.isatty():
            line = progress_line(job)[: shutil.get_terminal_size().columns - 1]
            _print(sys.stderr, f"\r{line:<{len(self._progress)}}")
            self._progress = line

    def say(self, sentence: str) -> None:
        """One sentence on standard error, on a line of its own."""
        self._clear()
        _print(sys.stderr, f"dawdle: {plain(sentence)}\n")

    def _clear(self) -> None:
        if self._progress:
            _print(sys.stderr, f"\r{'':<{len(self._progress)}}\r")
            self._progress = ""


def _print(stream: TextIO, text: str) -> None:
    """Write the text, with question marks for what the stream's encoding has no signs for."""
    encoding = stream.encoding or "ascii"
    stream.write(text.encode(encoding, "replace").decode(encoding))
    stream.flush()


def told(result: Result) -> str:
    """The title, and what is wrong if something is."""
    error = f"[{result.error.code}: {result.error.detail}]" if result.error else None
    return plain("  ".join(filter(None, (result.title, error))))


def progress_line(job: Job) -> str:
    """A bar and the figures: `[#####-----]  12/24  1 failed  3.4/s  4 s to go`."""
    full = BAR * job.done // job.urls
    figures = [f"{count_text(job.done)}/{count_text(job.urls)}"]
    if job.failed:
        figures.append(f"{count_text(job.failed)} failed")
    if job.rate is not None:
        figures.append(f"{job.rate:.1f}/s")
    if job.left_s is not None and not job.finished:
        figures.append(f"{length_text(max(1, round(job.left_s)) * SECOND_NS)} to go")
    line = "  ".join([f"[{'#' * full}{'-' * (BAR - full)}]", *figures])
    return line.replace("\N{NO-BREAK SPACE}", " ")
