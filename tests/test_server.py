"""The application's resources, what survives a restart, and how a service ends."""

import asyncio
import logging
import resource
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from pytest_aiohttp.plugin import AiohttpClient

from app import keys, server
from app.errors import Fatal
from app.feed import Feed
from app.server import Service, create_app, serving
from app.settings import Settings
from app.titles.results import Code
from tests.fakes import SECOND, House
from tests.service import LONG, Client, quick_app, quick_server, spans

PROFILES = '[profiles.mine]\ndelay = "0"\nstatus = "418"\n'


def choose(data: Path, **values: str) -> Settings:
    """Settings of a service on any free port, as one would write them."""
    return Settings.model_validate({"data": str(data), "port": "0"} | values)


# --- making it -----------------------------------------------------------------------------------


def test_application_is_made_without_touching_anything(tmp_path: Path) -> None:
    """Synchronous, without a loop, and nothing on the disk until it is started."""
    create_app(choose(tmp_path / "data"))

    assert [] == list(tmp_path.iterdir())


async def test_equal_random_gives_equal_delays(
    aiohttp_client: AiohttpClient, tmp_path: Path
) -> None:
    """Chance comes in from outside."""
    drawn = []
    for number in range(2):
        client = await start(aiohttp_client, tmp_path / str(number))
        drawn.append([await (await client.get("/aio")).text() for _ in range(5)])

    assert drawn[0] == drawn[1]


def test_a_server_of_short_delays_starts(tmp_path: Path) -> None:
    """Though not all built-in profiles fit it; to choose such a one for everybody is a mistake."""
    short = {"max_delay": "1s", "delay": "1"}
    create_app(choose(tmp_path, **short))

    with pytest.raises(Fatal, match=r"^default_profile slow-tail: .* stay within 1s"):
        create_app(choose(tmp_path, **short, default_profile="slow-tail"))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"delay": "soon"}, "delay soon: 'soon' is not"),
        ({"delay": "400"}, "delay 400: "),
        ({"max_delay": "5"}, "delay 1-30: "),
        ({"default_profile": "nobody"}, "there is no profile 'nobody'"),
        ({"echo_delay": "301"}, "echo_delay 301: 301s is longer"),
        ({"echo_rate": "10"}, "echo_rate 10: '10' is not a rate of bytes"),
        ({"echo_fault": "stall"}, "echo_fault stall: "),
        ({"profiles": "nowhere.toml"}, "profiles nowhere.toml can't be read"),
    ],
)
def test_bad_setting_is_fatal_before_anything_starts(
    tmp_path: Path, values: dict[str, str], sentence: str
) -> None:
    """One sentence that names what was given."""
    with pytest.raises(Fatal) as refusal:
        create_app(choose(tmp_path, **values))

    assert sentence in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('[profiles.mine]\ndelay = "soon"\n', ["mine", "delay", "soon"]),
        ('[profiles.mine]\nrun = "ci"\n', ["mine", "run"]),
        ('[profiles.mine]\ndelai = "1"\n', ["mine", "delai"]),
        ('[profiles.Mine]\ndelay = "1"\n', ["Mine"]),
        ('[profiles.mine]\nstatus = "204"\ndrip = 2\n', ["mine", "drip"]),
        ("[profiles.mine]\ndelay = true\n", ["mine", "delay"]),
        ("[profile.mine]\n", ["profile"]),
        ("profiles = 7\n", ["profiles"]),
        ("no TOML", ["TOML"]),
    ],
)
def test_broken_profile_is_fatal_with_file_table_and_key(
    tmp_path: Path, text: str, names: list[str]
) -> None:
    """Found at the start, not by the first request that uses it."""
    path = tmp_path / "profiles.toml"
    path.write_text(text)

    with pytest.raises(Fatal) as refusal:
        create_app(choose(tmp_path, profiles=str(path)))

    missing = [name for name in [str(path), *names] if name not in str(refusal.value)]
    assert [] == missing, refusal.value


@pytest.mark.parametrize(
    ("chosen", "files", "most"),
    [
        (50, 1024, 50),
        (20_000, 1024, 524),
        (20_000, 400, 1),
        (20_000, resource.RLIM_INFINITY, 20_000),
    ],
)
def test_no_more_may_wait_than_there_are_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, chosen: int, files: int, most: int
) -> None:
    """Each waiting request holds a descriptor; 500 are left for ourselves."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))

    assert most == server._max_waiting(choose(tmp_path, max_waiting=str(chosen)))


# --- a restart -----------------------------------------------------------------------------------


async def start(aiohttp_client: AiohttpClient, data: Path, **changes: Any) -> Client:
    return await aiohttp_client(await quick_server(quick_app(data, **changes)))


def by_name(listed: dict[str, Any]) -> dict[str, tuple[int, int | None]]:
    return {run["name"]: (run["requests"], run["last_arrival_ns"]) for run in listed["runs"]}


async def test_runs_survive_a_restart(aiohttp_client: AiohttpClient, tmp_path: Path) -> None:
    """Reports, exports and numbers are what they were; ids go on in a new boot."""
    before = await start(aiohttp_client, tmp_path)
    made = [await (await before.post("/runs", json={"name": "ci"})).json() for _ in range(2)]
    for query in ("run=ci-1", "run=ci-1&delay=nan", "", "run=ci-1&status=503"):
        await before.get(f"/aio?delay=0&{query}" if "delay" not in query else f"/aio?{query}")
    report = await (await before.get("/runs/ci-1")).json()
    listed = await (await before.get("/runs")).json()
    exported = await spans(before, "ci-1")
    await before.close()

    after = await start(aiohttp_client, tmp_path)

    again = await (await after.get("/runs/ci-1")).json()
    differing = {"urls", "events_after"}
    assert {name: report[name] for name in report.keys() - differing} == {
        name: again[name] for name in again.keys() - differing
    }
    assert exported == await spans(after, "ci-1")
    assert by_name(listed) == by_name(await (await after.get("/runs")).json())
    assert ["ci-1", "ci-2"] == [each["name"] for each in made]
    assert "ci-3" == (await (await after.post("/runs", json={"name": "ci"})).json())["name"]
    answer = await after.get("/aio?delay=0")
    assert ("default-2", "2-1") == tuple(
        answer.headers[f"X-Dawdle-{name}"] for name in ("Run", "Span")
    )


async def test_run_without_requests_survives_a_restart(
    aiohttp_client: AiohttpClient, tmp_path: Path
) -> None:
    """Its name was given away."""
    before = await start(aiohttp_client, tmp_path)
    await before.post("/runs")
    await before.close()

    after = await start(aiohttp_client, tmp_path)

    assert 200 == (await after.get("/runs/run-1")).status


async def test_deleted_run_stays_deleted(aiohttp_client: AiohttpClient, tmp_path: Path) -> None:
    """Also for the next boot."""
    before = await start(aiohttp_client, tmp_path)
    await before.get("/aio?delay=0&run=ci")
    await before.delete("/runs/ci")
    await before.close()

    after = await start(aiohttp_client, tmp_path)

    assert 404 == (await after.get("/runs/ci")).status


async def test_default_run_takes_requests_that_name_none(
    aiohttp_client: AiohttpClient, tmp_path: Path
) -> None:
    """The setting instead of `default-N`."""
    client = await start(aiohttp_client, tmp_path, default_run="all")

    assert "all" == (await client.get("/aio?delay=0")).headers["X-Dawdle-Run"]


async def test_default_profile_is_for_requests_that_choose_none(
    aiohttp_client: AiohttpClient, tmp_path: Path
) -> None:
    """It counts less than anything a request says."""
    (tmp_path / "profiles.toml").write_text(PROFILES)
    client = await start(
        aiohttp_client,
        tmp_path,
        profiles=str(tmp_path / "profiles.toml"),
        default_profile="mine",
    )

    assert [418, 200] == [
        (await client.get(path)).status for path in ("/aio", "/aio?status=200&delay=0")
    ]


# --- serving -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "prefix"),
    [
        ("127.0.0.1", "http://127.0.0.1:"),
        ("0.0.0.0", "http://127.0.0.1:"),
        ("localhost", "http://localhost:"),
    ],
)
async def test_service_says_where_a_client_on_this_machine_finds_it(
    tmp_path: Path, host: str, prefix: str
) -> None:
    """Also when port 0 chose, and when it listens on every address."""
    async with serving(choose(tmp_path, host=host)) as service, ClientSession() as session:
        assert service.url.startswith(prefix)
        assert 200 == (await session.get(f"{service.url}/healthz")).status


async def test_port_that_is_taken_is_fatal(tmp_path: Path) -> None:
    """One sentence, with what to do; nothing keeps running."""
    async with serving(choose(tmp_path / "a")) as service:
        port = service.url.rpartition(":")[2]
        with pytest.raises(Fatal) as refusal:
            async with serving(choose(tmp_path / "b", port=port)):
                pass

    assert (
        f"port {port} is in use; stop what listens there, "
        "or choose another port, or 0 for any free one"
    ) == str(refusal.value)


@pytest.mark.parametrize("host", ["300.1.1.1", "192.0.2.1", "host.invalid"])
async def test_host_that_is_not_here_is_fatal(tmp_path: Path, host: str) -> None:
    """No name, no address, or none of this machine: another port would not help."""
    with pytest.raises(Fatal) as refusal:
        async with serving(choose(tmp_path, host=host)):
            pass

    assert (f"host {host} is no address of this machine; choose another, such as 127.0.0.1") == str(
        refusal.value
    )


async def test_data_folder_that_cannot_be_used_is_fatal(tmp_path: Path) -> None:
    """Nothing would be kept."""
    (tmp_path / "data").write_text("a file")

    with pytest.raises(Fatal):
        async with serving(choose(tmp_path / "data")):
            pass


@pytest.mark.parametrize(
    ("host", "token", "warns"),
    [
        ("127.0.0.1", None, False),
        ("127.0.0.2", None, False),
        ("localhost", None, False),
        ("::1", None, False),
        ("0.0.0.0", None, True),
        ("0.0.0.0", "open-sesame-42", False),
    ],
)
async def test_service_announces_itself_and_warns_when_it_is_open_to_all(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    *,
    host: str,
    token: str | None,
    warns: bool,
) -> None:
    """Its first line is for programs; the warning goes to the log."""
    settings = choose(tmp_path, host=host, **({"token": token} if token else {}))
    async with serving(choose(tmp_path)) as service:
        server._announce(service, settings)

    said = f"Dawdle on {service.url} (echo {service.echo_address}, data {tmp_path})\n"
    assert said == capsys.readouterr().out
    assert ([logging.WARNING] if warns else []) == [each.levelno for each in caplog.records]


# --- the echo alone ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("knobs", "sentence"),
    [
        ({"rate": "fast"}, "--rate: 'fast' is not a rate of bytes"),
        ({"delay": "301"}, "--delay: 301s is longer"),
        ({"fault": "stall"}, "--fault: "),
    ],
)
def test_bad_knob_of_the_echo_alone_is_fatal(knobs: dict[str, str], sentence: str) -> None:
    """Called by the option that it was given with."""
    with pytest.raises(Fatal) as refusal:
        server.serve_echo("127.0.0.1", 0, knobs)

    assert str(refusal.value).startswith(sentence)


def test_port_of_the_echo_alone_in_use_is_fatal() -> None:
    """The port is named."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Fatal, match=f"^port {port} is in use; "):
            server.serve_echo("127.0.0.1", port, {})


# --- titles --------------------------------------------------------------------------------------


async def test_the_services_own_site_is_open_to_its_jobs_and_nothing_else_of_it(
    tmp_path: Path,
) -> None:
    """Wherever it listens; control pages are none of a job's business."""
    async with serving(choose(tmp_path)) as service:
        jobs = service.app[keys.JOBS]
        job = await jobs.add([f"{service.url}/site/1", f"{service.url}/runs"])
        await jobs.wait(job.name)
        site, runs = (await jobs.results(job.name)).results

    assert (None, 200) == (site.error, site.status)
    assert runs.error is not None
    assert Code.BLOCKED == runs.error.code


async def test_stopping_service_lets_go_who_waits_for_a_job(tmp_path: Path) -> None:
    """The job goes on after the next start; nobody has to wait for it here."""
    silent = await asyncio.start_server(lambda *_: asyncio.sleep(300), "127.0.0.1")
    port = silent.sockets[0].getsockname()[1]
    settings = choose(tmp_path, allow_networks=f"127.0.0.1:{port}", shutdown_grace="300s")
    async with silent, serving(settings) as service:
        jobs = service.app[keys.JOBS]
        job = await jobs.add([f"http://127.0.0.1:{port}/"])
        waiting = asyncio.create_task(jobs.wait(job.name))
        await asyncio.sleep(0)
        await service.drain(asyncio.Event())

        assert not (await waiting).finished


# --- stopping ------------------------------------------------------------------------------------


async def until_waiting(service: Service, count: int) -> None:
    desk, feed = service.app[keys.DESK], service.app[keys.FEED]
    while desk.waiting != count:
        await feed.wait(feed.position)


async def outcomes(aiohttp_client: AiohttpClient, data: Path, run: str) -> list[tuple[str, Any]]:
    """How the spans of a run ended, as the next boot finds them."""
    client = await start(aiohttp_client, data)
    return [(span["outcome"], span["ended_by"]) for span in await spans(client, run)]


async def test_idle_service_stops_at_once(tmp_path: Path) -> None:
    """However long its grace."""
    async with serving(choose(tmp_path, shutdown_grace="300s")) as service:
        await service.drain(asyncio.Event())


async def test_stopping_service_lets_those_who_wait_have_their_replies(
    aiohttp_client: AiohttpClient, tmp_path: Path
) -> None:
    """Within the grace, and with nothing new beside them."""
    settings = choose(tmp_path, shutdown_grace="300s")
    async with serving(settings) as service, ClientSession() as session:
        waiting = asyncio.create_task(session.get(f"{service.url}/aio?delay=200ms&run=ci"))
        await until_waiting(service, 1)
        await service.drain(asyncio.Event())

        assert 200 == (await waiting).status
    assert [("completed", None)] == await outcomes(aiohttp_client, tmp_path, "ci")


@pytest.mark.parametrize("told", [True, False])
async def test_those_who_wait_longer_are_told_that_the_service_stops(
    aiohttp_client: AiohttpClient, tmp_path: Path, told: bool
) -> None:
    """When the grace is over, or at once when told a second time; and it is recorded so."""
    settings = choose(tmp_path, shutdown_grace="300s" if told else "0")
    over = asyncio.Event()
    if told:
        over.set()
    async with serving(settings) as service, ClientSession() as session:
        waiting = asyncio.create_task(session.get(f"{service.url}/aio?{LONG}&run=ci"))
        await until_waiting(service, 1)
        await service.drain(over)
        answer = await waiting

        assert 503 == answer.status
        assert "urn:dawdle:problem:shutting-down" == (await answer.json())["type"]
    assert [("shutdown", "shutdown")] == await outcomes(aiohttp_client, tmp_path, "ci")


async def test_stopping_service_refuses_what_is_new_on_open_connections(tmp_path: Path) -> None:
    """Nobody connects any more; who is connected is told."""
    async with serving(choose(tmp_path)) as service, ClientSession() as session:
        await (await session.get(f"{service.url}/healthz")).read()  # the connection stays open
        waiting = asyncio.create_task(session.get(f"{service.url}/aio?{LONG}"))
        await until_waiting(service, 1)
        over = asyncio.Event()
        draining = asyncio.create_task(service.drain(over))
        await asyncio.sleep(0)

        with suppress(OSError):
            answer = await session.get(f"{service.url}/readyz")
            assert 503 == answer.status
        over.set()
        await draining
        await waiting


# --- collecting garbage --------------------------------------------------------------------------


class FakeCollector:
    """The `gc` module, as far as it was called."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def collect(self) -> None:
        self.calls.append("collect")

    def freeze(self) -> None:
        self.calls.append("freeze")

    def set_threshold(self, *thresholds: int) -> None:
        self.calls.append(f"at {thresholds}")


async def rounds() -> None:
    """Let every task that can run do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_full_collections_wait_until_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lives from the start on is frozen; then one collection after whatever happened."""
    collector, house = FakeCollector(), House()
    feed = Feed(1, most_viewers=1)
    monkeypatch.setattr("app.server.gc", collector)
    monkeypatch.setattr("app.server.COLLECT_EVERY_S", 0)
    app: Any = {keys.DESK: house.desk, keys.FEED: feed}
    begun = ["collect", "freeze", "at (700, 10, 1000000)"]

    chore = asyncio.create_task(server._collect_when_idle(app))
    await rounds()
    assert begun == collector.calls

    call = house.call("delay=1")
    feed.publish(call.span)
    await rounds()
    assert begun == collector.calls

    house.clock.advance(SECOND)
    await rounds()
    chore.cancel()
    assert [*begun, "collect"] == collector.calls
