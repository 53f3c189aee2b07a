"""
The command `dawdle`: one function a command, and the exit statuses. No logic.

What only some commands need is imported inside them, so that `dawdle --help` answers at once.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import click

from app import __version__
from app.errors import BadValue, Fatal

REFUSED = 2  # a usage error or a bad setting
INTERRUPTED = 130  # 128 + SIGINT, as shells report it

INTRODUCTION = """\
A backend that is slow on purpose and tells you what your client did while it
waited.

\b
Examples:
  dawdle serve                    each request waits 1 to 30 s
  dawdle serve --delay 250ms      each request waits a quarter of a second
  dawdle serve --time-scale 0.01  every wait is a hundred times shorter
"""

SERVE = """\
Serve slow replies until stopped.

\b
Every setting can be given in three places, of which the first wins:
  on the command line  --max-delay 5m
  in the environment   DAWDLE_MAX_DELAY=5m
  in dawdle.toml       max_delay = "5m"

A DURATION is a number of seconds such as 2 or 0.5, or one with its unit such as 250ms, 10s or 5m.
A SIZE is a number of bytes such as 4096, or 10k or 1m.
"""


class ServeCommand(click.Command):
    """`serve`: its options are the settings, made when they are asked for and not on import."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """An option for every setting, then the command's own."""
        return [*_setting_options(), *super().get_params(ctx)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The settings in their groups, then the command's own options."""
        from app.settings import GROUPS

        params = {param.name: param for param in self.get_params(ctx)}
        groups = {title: [params.pop(name) for name in names] for title, names in GROUPS.items()}
        for title, members in (groups | {"Options": list(params.values())}).items():
            with formatter.section(title):
                formatter.write_dl(filter(None, (each.get_help_record(ctx) for each in members)))


@cache
def _setting_options() -> tuple[click.Option, ...]:
    from app.settings import Setting, settings_table

    def option(setting: Setting) -> click.Option:
        if not setting.kind:  # a switch; what is not given stays None, so that a file may say it
            names = f"{setting.flag}/--no{setting.flag[1:]}"
            return click.Option([names], default=None, help=setting.description)
        default = f" [default: {setting.default}]" if setting.default else ""
        return click.Option(
            [setting.flag], metavar=setting.kind, help=setting.description + default
        )

    return tuple(option(setting) for setting in settings_table())


@click.group(
    help=INTRODUCTION,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="dawdle %(version)s")
@click.pass_context
def dawdle(context: click.Context) -> None:
    """Alone, the command shows its help."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@dawdle.command(cls=ServeCommand, help=SERVE, short_help="Serve slow replies until stopped.")
@click.option("--config", metavar="FILE", help="Read this file instead of dawdle.toml.")
@click.option(
    "--print-config", is_flag=True, help="Show each setting and where it came from, and exit."
)
@click.pass_obj
def serve(environ: Mapping[str, str], /, *, print_config: bool, **flags: object) -> int:
    """Load the settings, then print them or serve with them."""
    from app.settings import load

    given = {name: value for name, value in flags.items() if value is not None}
    loaded = load(given, environ, Path())
    if print_config:
        click.echo(loaded.table())
        return 0
    from app import server

    return server.serve(loaded.settings)


CHECK = "Such as 'peak=..10&cancelled=0'; exits with 1 when it does not hold. Repeatable."


URL = "The server; else DAWDLE_URL, else port 3000 here."


@dawdle.command(name="report", short_help="Show what a client did.")
@click.argument("run", default="latest")
@click.option("--url", metavar="URL", help=URL)
@click.option("--check", "checks", metavar="CHECKS", multiple=True, help=CHECK)
@click.option(
    "--format",
    "written",
    type=click.Choice(["text", "json", "svg", "har", "trace"]),
    help="How to write it [default: text].",
)
@click.option("--json", "as_json", is_flag=True, help="Short for --format json.")
@click.option("--watch", is_flag=True, help="Print it anew as it changes, until interrupted.")
@click.pass_obj
def show_report(
    environ: Mapping[str, str],
    /,
    *,
    run: str,
    url: str | None,
    checks: tuple[str, ...],
    written: str | None,
    as_json: bool,
    watch: bool,
) -> int:
    """Print the report and timeline of RUN, by default the run with the newest arrival."""
    from app import runner, viewer

    if as_json and written not in (None, "json"):
        raise click.UsageError(f"--json and --format {written} exclude each other")
    written = written or ("json" if as_json else "text")
    if watch and (checks or written != "text"):
        raise click.UsageError("--watch has no end to judge and is for text: leave the others out")
    question = viewer.Question(run, url, runner.read_checks(checks), written, watch)
    return viewer.report(question, environ)


@dawdle.command(name="compare", short_help="Set two runs side by side.")
@click.argument("run_a")
@click.argument("run_b")
@click.option("--url", metavar="URL", help=URL)
@click.option(
    "--format",
    "written",
    type=click.Choice(["text", "json", "svg"]),
    default="text",
    help="How to write it [default: text].",
)
@click.pass_obj
def compare(
    environ: Mapping[str, str], /, *, run_a: str, run_b: str, url: str | None, written: str
) -> int:
    """Print what changed from RUN_A to RUN_B: figures, findings, and both on one time axis."""
    from app import viewer

    return viewer.compare((run_a, run_b), url, written, environ)


RUN = """\
Run COMMAND with DAWDLE_URL, DAWDLE_RUN and DAWDLE_ECHO_ADDRESS set, then print what it did.

Exits with the status of COMMAND, or with 1 when that was 0 and a check does not hold.

\b
Example:
  dawdle run --check 'peak=..10&cancelled=0' -- pytest
"""


@dawdle.command(
    name="run",
    help=RUN,
    short_help="Run a command against a server of its own, and judge what it did.",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--check", "checks", metavar="CHECKS", multiple=True, help=CHECK)
@click.option("--name", default="run", help="The run is called NAME-1, NAME-2 and so on.")
@click.option("--url", metavar="URL", help="Use this server instead of starting one.")
@click.option("--profile", metavar="NAME", help="The knobs of requests that choose none.")
@click.option("--time-scale", metavar="NUMBER", help="Multiplies every delay, such as 0.01.")
@click.option("--junit", metavar="FILE", help="Write checks and findings there as JUnit XML.")
@click.pass_obj
def run(
    environ: Mapping[str, str],
    /,
    *,
    command: tuple[str, ...],
    checks: tuple[str, ...],
    name: str,
    url: str | None,
    profile: str | None,
    time_scale: str | None,
    junit: str | None,
) -> int:
    """Hand over to the runner, which has the rules."""
    from app import runner

    flags = {"default_profile": profile, "time_scale": time_scale}
    given = {setting: value for setting, value in flags.items() if value is not None}
    if url is not None and given:
        raise click.UsageError("--profile and --time-scale are for a server that is started here")
    path = None if junit is None else Path(junit)
    job = runner.Job(command, runner.read_checks(checks), name, url, given, path)
    return runner.run(job, environ)


ECHO = """\
Talk to the echo at [HOST:]PORT, or with --listen be one.

From a terminal each line is sent and shown with the time that it took to come back. From a pipe,
standard input goes through the echo to standard output, as fast as both allow; the exit status is
1 when not all of it came back as it was sent.

\b
Examples:
  dawdle echo 127.0.0.1:7777
  dawdle echo 7777 < big.iso | cmp - big.iso
  dawdle echo --listen 7000 --delay 100-300ms --rate 10k/s
"""


@dawdle.command(name="echo", help=ECHO, short_help="Talk to an echo, or be one.")
@click.argument("address", metavar="[HOST:]PORT")
@click.option("--listen", is_flag=True, help="Be the echo, until stopped; it records nothing.")
@click.option("--delay", metavar="DELAY", help="With --listen: how long each piece waits.")
@click.option("--rate", metavar="RATE", help="With --listen: bytes a connection, such as 10k/s.")
@click.option(
    "--fault",
    metavar="FAULT",
    help="With --listen: reset, empty, garbage or hang, with @BYTES after so many.",
)
def echo(address: str, *, listen: bool, **knobs: str | None) -> int:
    """Hand over to the client, or to a server that has nothing but the echo."""
    from app import grammar

    try:
        host, port = grammar.endpoint(address, host="127.0.0.1")
    except BadValue as error:
        raise click.UsageError(str(error)) from None
    given = {name: text for name, text in knobs.items() if text is not None}
    if listen:
        from app import server

        return server.serve_echo(host, port, given)
    if given:
        raise click.UsageError(f"--{next(iter(given))} is for the echo itself; add --listen")
    from app import talk

    return talk.talk(host, port)


TITLES = """\
Fetch the titles of pages, many at a time.

A WHAT is a URL (http:// may be left out), a file with a URL a line, a table together with
--column, or - for standard input.

\b
Examples:
  dawdle titles https://www.python.org/ https://git-scm.com/
  dawdle titles urls.txt --output titles.csv
  dawdle titles links.csv --column address --output titles.jsonl
"""


@dawdle.command(name="titles", help=TITLES, short_help="Fetch the titles of pages.")
@click.argument("arguments", metavar="[WHAT]...", nargs=-1)
@click.option("--concurrency", metavar="NUMBER", help="Pages at once, 1 to 200. [default: 50]")
@click.option("--per-host", metavar="NUMBER", help="From one host, 1 to 10. [default: 6]")
@click.option("--timeout", metavar="DURATION", help="Of one attempt. [default: 10s]")
@click.option("--retries", metavar="NUMBER", help="Attempts after the first. [default: 2]")
@click.option(
    "--output", metavar="FILE", type=Path, help="Write results there: .jsonl, .csv or .json."
)
@click.option("--resume", is_flag=True, help="Go on where an interrupted command left off.")
@click.option("--column", metavar="NAME", help="The column of a table, by name or number.")
@click.option("--user-agent", metavar="TEXT", help="Say this in place of Dawdle/VERSION.")
@click.option("--header", "headers", metavar="'NAME: VALUE'", multiple=True, help="Repeatable.")
@click.option("--proxy", metavar="URL", help="Ask this HTTP proxy for every page.")
@click.option("--insecure", is_flag=True, help="Do not check certificates.")
@click.option("--public-only", is_flag=True, help="Refuse addresses that are not public.")
@click.option("--strict", is_flag=True, help="Exit with 1 when a page failed.")
@click.option("--state", metavar="FOLDER", type=Path, help="Keep what is done there.")
def titles(
    *,
    arguments: tuple[str, ...],
    output: Path | None,
    resume: bool,
    column: str | None,
    user_agent: str | None,
    headers: tuple[str, ...],
    proxy: str | None,
    insecure: bool,
    public_only: bool,
    strict: bool,
    state: Path | None,
    **chosen: str | None,
) -> int:
    """Hand over to the command, which has the rules."""
    if not arguments and not resume:
        raise click.UsageError("there is nothing to fetch")
    if column is not None and not arguments:
        raise click.UsageError("--column is for a table, and none is named")
    from app.titles import command
    from app.titles.errand import Manners, Wish

    options = {name: text for name, text in chosen.items() if text is not None}
    manners = Manners(user_agent, headers, proxy, insecure, public_only)
    wish = Wish(arguments, column, options, output, resume, strict, state, manners)
    return command.titles(wish, ["dawdle", *sys.argv[1:]])


def main(argv: Sequence[str] | None = None, *, environ: Mapping[str, str] = os.environ) -> int:
    """
    Run the command line *argv*, or the process's own, and return the exit status.

    0: done. 2: a usage error or a bad setting, said in one sentence on standard error.
    130: interrupted. Else what the command returned. When the reader of standard output has
    left, click ends the process without a word (status 1).
    """
    try:
        status: int | None = dawdle.main(argv, "dawdle", standalone_mode=False, obj=environ)
    except click.ClickException as error:
        return _refuse(_sentence(error))
    except Fatal as error:
        return _refuse(str(error))
    except click.Abort:
        return INTERRUPTED
    return status or 0


def _refuse(sentence: str) -> int:
    click.echo(f"dawdle: {sentence}", err=True)
    return REFUSED


def _sentence(error: click.ClickException) -> str:
    """What click has to say, as one sentence with a remedy."""
    near: Sequence[str] = getattr(error, "possibilities", None) or ()
    message = (error.message if near else error.format_message()).rstrip(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context else "dawdle"
    remedy = f"did you mean {near[0]}?" if near else f"see {path} --help"
    return f"{message[0].lower()}{message[1:]}; {remedy}"
