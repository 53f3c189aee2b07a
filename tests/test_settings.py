"""Tests of `app.settings`: who wins, where a value came from, and what is refused."""

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app import grammar
from app.errors import BadValue, Fatal
from app.settings import GROUPS, LONGEST_DURATION, Loaded, Setting, Settings, load, settings_table
from app.titles.guard import opening

SECRET = "open-sesame-42"
NAMES = tuple(Settings.model_fields)

# For each setting a text that is not its default, and the value behind it.
EXAMPLES: Mapping[str, tuple[str, object]] = {
    "host": ("0.0.0.0", "0.0.0.0"),
    "port": ("0", 0),
    "tls_cert": ("tls/cert.pem", Path("tls/cert.pem")),
    "tls_key": ("tls/key.pem", Path("tls/key.pem")),
    "tls_self_signed": ("true", True),
    "echo": ("off", False),
    "echo_port": ("7000", 7000),
    "lane": ("off", False),
    "delay": ("normal(2s,500ms)", "normal(2s,500ms)"),
    "time_scale": ("0.01", 0.01),
    "profiles": ("profiles.toml", Path("profiles.toml")),
    "default_profile": ("slow-tail", "slow-tail"),
    "echo_delay": ("100-300ms", "100-300ms"),
    "echo_rate": ("10k/s", "10k/s"),
    "echo_fault": ("reset@100", "reset@100"),
    "data": ("/var/lib/dawdle", Path("/var/lib/dawdle")),
    "default_run": ("ci", "ci"),
    "idle_gap": ("250ms", 250_000_000),
    "journal": ("1000", 1000),
    "kept_urls": ("1", 1),
    "max_waiting": ("1", 1),
    "max_delay": ("5m", 300_000_000_000),
    "max_body": ("10k", 10_240),
    "max_size": ("64", 64),
    "max_keys": ("1", 1),
    "viewers": ("0", 0),
    "max_echo_connections": ("1", 1),
    "echo_idle": ("100ms", 100_000_000),
    "websocket_message": ("1", 1),
    "shutdown_grace": ("1.5", 1_500_000_000),
    "max_page_bytes": ("1k", 1_024),
    "max_urls": ("1", 1),
    "max_jobs": ("100", 100),
    "allow_networks": (
        "10.0.0.0/8, 127.0.0.1:8080, [::1]:80, fd00::/8",
        tuple(map(opening, ("10.0.0.0/8", "127.0.0.1:8080", "[::1]:80", "fd00::/8"))),
    ),
    "allowed_hosts": ("One.Example, two.example", ("one.example", "two.example")),
    "token": (SECRET, SECRET),
    "access_log": ("on", True),
    "log_format": ("json", "json"),
    "log_level": ("WARNING", "warning"),
}

# (setting, text, what the sentence says)
REFUSED = [
    ("host", "", "not an address; write one such as 127.0.0.1, ::1 or localhost"),
    ("host", "http://localhost", "not an address"),
    ("host", "127.0.0.1:3000", "not an address"),
    ("port", "65536", "65536 is out of range; use 0 to 65535"),
    ("port", "-1", "not a whole number"),
    ("port", "1e3", "not a whole number"),
    ("port", "", "not a whole number"),
    ("tls_cert", "cert.pem", "./cert.pem is given without tls_key; give both or neither"),
    ("tls_key", "key.pem", "./key.pem is given without tls_cert; give both or neither"),
    ("tls_self_signed", "maybe", "neither true nor false"),
    ("echo", "loud", "neither true nor false"),
    ("echo_port", "65536", "65536 is out of range; use 0 to 65535"),
    ("lane", "fast", "neither true nor false"),
    ("delay", "  ", "blank"),
    ("time_scale", "10.1", "10.1 is out of range; use 0 to 10"),
    ("time_scale", "nan", "not a number"),
    ("time_scale", "inf", "not a number"),
    ("time_scale", "-1", "not a number"),
    ("profiles", "a\x00b", "control character"),
    ("default_profile", "Slow", "can't name a profile"),
    ("echo_delay", "", "blank"),
    ("echo_rate", "", "blank"),
    ("echo_fault", " ", "blank"),
    ("data", "", "blank"),
    ("default_run", "latest", "choose another name"),
    ("default_run", "a b", "can't name a run"),
    ("idle_gap", "10 s", "not a duration"),
    ("idle_gap", "86400001ms", "use 0s to 86400s"),
    ("journal", "999", "999 is out of range; use 1000 or more"),
    ("kept_urls", "0", "use 1 or more"),
    ("max_waiting", "0", "0 is out of range; use 1 or more"),
    ("max_delay", "5h", "not a duration"),
    ("max_body", "1g", "not a size"),
    ("max_size", "63", "63 is out of range; use 64 or more"),
    ("max_keys", "0", "use 1 or more"),
    ("viewers", "-1", "not a whole number"),
    ("max_echo_connections", "0", "use 1 or more"),
    ("echo_idle", "99ms", "99ms is out of range; use 100ms to 86400s"),
    ("websocket_message", "0", "use 1 or more"),
    ("shutdown_grace", "nan", "not a duration"),
    ("max_page_bytes", "1023", "1023 is out of range; use 1k or more"),
    ("max_urls", "0", "use 1 or more"),
    ("max_jobs", "101", "101 is out of range; use 1 to 100"),
    ("allow_networks", "10.0.0.0/8,", "opens nothing"),
    ("allow_networks", "localhost", "opens nothing"),
    ("allowed_hosts", "https://one.example", "not a host name"),
    ("allowed_hosts", "one.example,", "not a host name"),
    ("allowed_hosts", "a" * 64, "not a host name"),
    ("token", "sesame7", "a token of 7 characters is too easy to guess; use 8 or more"),
    ("token", "", "a token of 0 characters"),
    ("token", "open sesame", "visible ASCII"),
    ("token", "open\nsesame", "visible ASCII"),
    ("token", "öffne-dich", "visible ASCII"),
    ("access_log", "2", "neither true nor false"),
    ("log_format", "xml", "use text or json"),
    ("log_level", "trace", "use debug or info or warning or error"),
]


def load_toml(folder: Path, text: str) -> Loaded:
    """What loads from a `dawdle.toml` with this text, and nothing else."""
    (folder / "dawdle.toml").write_text(text, encoding="utf-8")
    return load({}, {}, folder)


def load_port(folder: Path, *layers: str) -> tuple[int, str]:
    """The port and its origin when each of these layers names one of its own."""
    flags = {"port": "1"} if "flag" in layers else {}
    environ = {"DAWDLE_PORT": "2"} if "environment" in layers else {}
    if "file" in layers:
        (folder / "dawdle.toml").write_text("port = 3", encoding="utf-8")
    loaded = load(flags, environ, folder)
    return loaded.settings.port, loaded.origins["port"]


def plain(value: object) -> object:
    """The value with its secret opened."""
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


# --- layers --------------------------------------------------------------------------------------


PORTS = {"flag": (1, "--port"), "environment": (2, "DAWDLE_PORT"), "file": (3, "dawdle.toml")}


@pytest.mark.parametrize(("winner", "loser"), [*combinations(PORTS, 2)])
def test_of_two_layers_the_one_nearer_to_the_user_wins(
    winner: str, loser: str, tmp_path: Path
) -> None:
    """The command line beats the environment, which beats the file."""
    assert PORTS[winner] == load_port(tmp_path, winner, loser)


@pytest.mark.parametrize("layer", PORTS)
def test_every_layer_beats_the_default(layer: str, tmp_path: Path) -> None:
    """A value given anywhere replaces the default."""
    assert PORTS[layer] == load_port(tmp_path, layer)


def test_with_nothing_given_everything_is_default(tmp_path: Path) -> None:
    """An empty world gives the documented defaults, and says so."""
    loaded = load({}, {"PATH": "/bin"}, tmp_path)

    assert Settings() == loaded.settings
    assert dict.fromkeys(NAMES, "default") == loaded.origins


def test_layers_mix_setting_by_setting(tmp_path: Path) -> None:
    """Precedence is decided for each setting alone."""
    (tmp_path / "dawdle.toml").write_text('delay = "1"\nport = 3', encoding="utf-8")

    loaded = load({"viewers": "7"}, {"DAWDLE_PORT": "2"}, tmp_path)

    assert ("1", 2, 7) == (loaded.settings.delay, loaded.settings.port, loaded.settings.viewers)
    assert ("dawdle.toml", "DAWDLE_PORT", "--viewers") == tuple(
        loaded.origins[name] for name in ("delay", "port", "viewers")
    )


def test_settings_that_are_left_out_keep_their_defaults(tmp_path: Path) -> None:
    """From every layer, even where the value is not valid; all others are as they were given."""
    (tmp_path / "dawdle.toml").write_text('token = "short"\nport = 1', encoding="utf-8")
    flags, environ = {"tls_cert": "cert.pem"}, {"DAWDLE_TLS_SELF_SIGNED": "maybe"}

    loaded = load(flags, environ, tmp_path, without=("token", "tls_cert", "tls_self_signed"))

    assert Settings(port=1) == loaded.settings
    assert ("default", "dawdle.toml") == (loaded.origins["token"], loaded.origins["port"])


def test_the_environment_of_the_process_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The world is an argument."""
    for name in ("PORT", "DAWDLE_PORT"):
        monkeypatch.setenv(name, "4")

    assert [3000, 3000] == [Settings().port, load({}, {}, tmp_path).settings.port]


def test_a_switch_turned_off_by_flag_beats_the_environment(tmp_path: Path) -> None:
    """`--no-access-log` is a value like any other, and its own origin."""
    loaded = load({"access_log": False}, {"DAWDLE_ACCESS_LOG": "yes"}, tmp_path)

    assert (False, "--no-access-log") == (loaded.settings.access_log, loaded.origins["access_log"])


def test_the_defaults_are_those_users_rely_on() -> None:
    """A default is part of the interface: changing one is a decision, not an accident."""
    defaults = {row.name: row.default for row in settings_table() if row.default}

    assert {
        "host": "127.0.0.1",
        "port": "3000",
        "tls_self_signed": "false",
        "echo": "true",
        "echo_port": "7777",
        "lane": "true",
        "delay": "1-30",
        "time_scale": "1",
        "echo_delay": "0",
        "data": "./data",
        "idle_gap": "10s",
        "journal": "1000000",
        "kept_urls": "1000000",
        "max_waiting": "20000",
        "max_delay": "300s",
        "max_body": "1m",
        "max_size": "16m",
        "max_keys": "100000",
        "viewers": "100",
        "max_echo_connections": "10000",
        "echo_idle": "300s",
        "websocket_message": "1m",
        "shutdown_grace": "35s",
        "max_page_bytes": "2m",
        "max_urls": "100000",
        "max_jobs": "4",
        "access_log": "false",
        "log_format": "text",
        "log_level": "info",
    } == defaults


@pytest.mark.parametrize(
    ("given", "port"),
    [
        ({}, 7777),
        ({"port": 0}, 0),
        ({"port": 0, "echo_port": 7777}, 7777),
        ({"echo_port": 0}, 0),
        ({"port": 8080}, 7777),
    ],
)
def test_port_0_lets_the_echo_take_a_free_port_too(given: dict[str, object], port: int) -> None:
    """Servers that start side by side on free ports must not meet on the echo's."""
    assert port == Settings.model_validate(given).echo_listens_on


def test_in_code_none_means_not_given() -> None:
    """What has no default may be passed on as it is."""
    assert Settings() == Settings(tls_cert=None, default_run=None, token=None)


# --- values --------------------------------------------------------------------------------------


def test_every_setting_has_an_example_here() -> None:
    """A new setting needs a line in EXAMPLES."""
    assert NAMES == tuple(EXAMPLES)


@pytest.mark.parametrize("layer", PORTS)
@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("tls_")])
def test_a_text_means_the_same_in_every_layer(name: str, layer: str, tmp_path: Path) -> None:
    """Command line, environment and file are read by the same grammar."""
    text, value = EXAMPLES[name]
    if layer == "file":
        (tmp_path / "dawdle.toml").write_text(f'{name} = "{text}"', encoding="utf-8")

    loaded = load(
        {name: text} if layer == "flag" else {},
        {f"DAWDLE_{name.upper()}": text} if layer == "environment" else {},
        tmp_path,
    )

    assert value == plain(getattr(loaded.settings, name))
    assert "default" != loaded.origins[name]


def test_a_certificate_and_its_key_go_together(tmp_path: Path) -> None:
    """The pair may come from different layers."""
    loaded = load({"tls_cert": "cert.pem"}, {"DAWDLE_TLS_KEY": "key.pem"}, tmp_path)

    assert (Path("cert.pem"), Path("key.pem")) == (
        loaded.settings.tls_cert,
        loaded.settings.tls_key,
    )


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("max_delay = 2", 2_000_000_000),
        ("max_delay = 0.25", 250_000_000),
        ("max_delay = 0.00001", 10_000),
        ("max_body = 4096", 4096),
        ("time_scale = 1", 1.0),
        ("time_scale = 0.5", 0.5),
        ("delay = 7", "7"),
        ("access_log = true", True),
        ("port = 8080", 8080),
        ('allowed_hosts = ["One.example", "two"]', ("one.example", "two")),
        ("allowed_hosts = []", ()),
    ],
)
def test_toml_numbers_booleans_and_lists_are_taken(
    line: str, value: object, tmp_path: Path
) -> None:
    """In TOML a number for a duration means seconds, for a size bytes."""
    settings = load_toml(tmp_path, line).settings

    assert value == getattr(settings, line.partition(" ")[0])


@pytest.mark.parametrize("text", ["true", "YES", "on", "1", "false", "No", "off", "0"])
def test_switches_have_four_pairs_of_words(text: str) -> None:
    """true, yes, on and 1 against false, no, off and 0."""
    assert (text.lower() in {"true", "yes", "on", "1"}) == Settings.model_validate(
        {"access_log": text}
    ).access_log


@given(st.integers(0, LONGEST_DURATION // grammar.MICROSECOND).map(lambda us: us * 1000))
def test_a_duration_survives_the_environment(ns: int) -> None:
    """What --print-config shows reads back as the same value."""
    environ = {"DAWDLE_MAX_DELAY": grammar.duration_text(ns)}

    settings = load({}, environ, Path("no-such-folder")).settings

    assert (ns, environ["DAWDLE_MAX_DELAY"]) == (settings.max_delay, settings.text("max_delay"))


@given(st.integers(0, 1 << 40))
def test_a_size_survives_being_written(count: int) -> None:
    """What --print-config shows reads back as the same value."""
    written = Settings.model_validate({"max_body": count}).text("max_body")

    assert count == grammar.size(written)


@given(st.floats(0, 10).map(lambda scale: round(scale, 6)))
def test_a_time_scale_survives_being_written(scale: float) -> None:
    """A float is shown without exponent and reads back as itself."""
    written = Settings(time_scale=scale).text("time_scale")

    assert scale == grammar.decimal(written)


def test_settings_are_frozen() -> None:
    """Nothing changes while the service runs."""
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1


def test_a_setting_that_does_not_exist_is_refused() -> None:
    """In code as well, a typo is an error."""
    with pytest.raises(ValidationError, match="Extra inputs"):
        Settings.model_validate({"prot": 1})


@pytest.mark.parametrize(
    ("text", "address"),
    [("::1", "::1"), ("0:0:0:0:0:0:0:1", "::1"), ("LocalHost", "localhost"), ("a_b", "a_b")],
)
def test_an_address_may_be_a_number_or_a_name(text: str, address: str) -> None:
    """Numbers take their shortest form, names are lower-cased."""
    assert address == Settings(host=text).host


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "text", "sentence"), REFUSED)
def test_a_bad_value_is_refused_by_flag_and_by_environment(
    name: str, text: str, sentence: str, tmp_path: Path
) -> None:
    """The sentence leads with where the value was given and says what to write instead."""
    flag, environment = f"--{name.replace('_', '-')}", f"DAWDLE_{name.upper()}"

    with pytest.raises(Fatal) as by_flag:
        load({name: text}, {}, tmp_path)
    with pytest.raises(Fatal) as by_environment:
        load({}, {environment: text}, tmp_path)

    assert str(by_flag.value).startswith(f"{flag}: ")
    assert str(by_environment.value).startswith(f"{environment}: ")
    assert sentence in str(by_flag.value)
    assert "\n" not in str(by_flag.value)


def test_every_setting_has_a_refusal_here() -> None:
    """A new setting needs a line in REFUSED."""
    assert set(NAMES) == {name for name, _, _ in REFUSED}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("port = 99999", "dawdle.toml, port: 99999 is out of range; use 0 to 65535"),
        ("port = true", "dawdle.toml, port: 'true' is not a whole number"),
        ("port = 3000.5", "dawdle.toml, port: '3000.5' is not a whole number"),
        ("port = [3000]", "dawdle.toml, port: a list can't stand here"),
        ("[port]\nnumber = 1", "dawdle.toml, port: a table or date can't stand here"),
        ("delay = 2020-01-01", "dawdle.toml, delay: a table or date can't stand here"),
        ("max_delay = nan", "dawdle.toml, max_delay: 'NaN' is not a duration"),
        ("max_delay = -1", "dawdle.toml, max_delay: '-1' is not a duration"),
        ("time_scale = inf", "dawdle.toml, time_scale: 'Infinity' is not a number"),
        ('allowed_hosts = [["a"]]', "dawdle.toml, allowed_hosts: a list can't stand here"),
        ("prot = 1", "dawdle.toml: there is no setting 'prot'; the nearest is port"),
        ("max-delay = 1", "dawdle.toml: there is no setting 'max-delay'; the nearest is max_delay"),
        ("_env_file = '.env'", "dawdle.toml: there is no setting '_env_file'; the nearest is"),
        ("port = 1\nviewers = = 2", "dawdle.toml: is not TOML: Invalid value (at line 2"),
        ("port = 1\nport = 2\n", "dawdle.toml: is not TOML: Cannot overwrite a value (at line 2"),
    ],
)
def test_a_bad_file_is_refused(text: str, sentence: str, tmp_path: Path) -> None:
    """The sentence names the file, and the key or the line."""
    with pytest.raises(Fatal) as refusal:
        load_toml(tmp_path, text)

    assert str(refusal.value).startswith(sentence)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("DAWDLE_PROT", "DAWDLE_PORT"),
        ("DAWDLE_port", "DAWDLE_PORT"),
        ("DAWDLE_MAX_WAIT", "DAWDLE_MAX_WAITING"),
        ("DAWDLE_CONFG", "DAWDLE_CONFIG"),
    ],
)
def test_an_unknown_name_in_the_environment_is_refused(
    name: str, nearest: str, tmp_path: Path
) -> None:
    """A typo is never silently a default."""
    with pytest.raises(Fatal) as refusal:
        load({}, {name: "1"}, tmp_path)

    assert f"the environment: there is no setting '{name}'; the nearest is {nearest}" == str(
        refusal.value
    )


def test_names_for_the_command_of_a_run_are_no_settings(tmp_path: Path) -> None:
    """`dawdle run` sets them, and its command may itself serve."""
    environ = {
        "DAWDLE_URL": "http://127.0.0.1:3000",
        "DAWDLE_RUN": "ci-7",
        "DAWDLE_ECHO_ADDRESS": "127.0.0.1:7777",
    }

    assert Settings() == load({}, environ, tmp_path).settings


def test_a_throw_away_certificate_excludes_one_of_files(tmp_path: Path) -> None:
    """There can be only one certificate, so both ways at once are refused."""
    environ = {"DAWDLE_TLS_CERT": "cert.pem", "DAWDLE_TLS_KEY": "key.pem"}

    with pytest.raises(Fatal, match=r"^--tls-self-signed: .* can't stand beside tls_cert"):
        load({"tls_self_signed": True}, environ, tmp_path)


def test_of_several_bad_values_one_is_named(tmp_path: Path) -> None:
    """One sentence at a time."""
    with pytest.raises(Fatal, match=r"^--port: 70000 is out of range; use 0 to 65535$"):
        load({"viewers": "x", "port": "70000"}, {}, tmp_path)


# --- the file ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "environ"),
    [
        ({"config": "ci.toml"}, {}),
        ({}, {"DAWDLE_CONFIG": "ci.toml"}),
        ({"config": "ci.toml"}, {"DAWDLE_CONFIG": "other.toml"}),
    ],
)
def test_a_named_file_replaces_dawdle_toml(
    flags: Mapping[str, object], environ: Mapping[str, str], tmp_path: Path
) -> None:
    """The file of --config, else of DAWDLE_CONFIG, is the only one read, and is the origin."""
    (tmp_path / "dawdle.toml").write_text("port = 1\nviewers = 1", encoding="utf-8")
    (tmp_path / "ci.toml").write_text("port = 2", encoding="utf-8")

    loaded = load(flags, environ, tmp_path)

    assert (2, 100) == (loaded.settings.port, loaded.settings.viewers)
    assert ("ci.toml", "default") == (loaded.origins["port"], loaded.origins["viewers"])


@pytest.mark.parametrize(
    ("flags", "environ", "place"),
    [
        ({"config": "ci.toml"}, {}, "--config ci.toml"),
        ({}, {"DAWDLE_CONFIG": "ci.toml"}, "DAWDLE_CONFIG=ci.toml"),
    ],
)
def test_a_named_file_that_is_missing_is_refused(
    flags: Mapping[str, object], environ: Mapping[str, str], place: str, tmp_path: Path
) -> None:
    """Who names a file means it, even beside a dawdle.toml."""
    (tmp_path / "dawdle.toml").touch()

    with pytest.raises(Fatal, match=f"^{place}: there is no such file"):
        load(flags, environ, tmp_path)


def test_a_folder_named_dawdle_toml_is_refused(tmp_path: Path) -> None:
    """What can't be read is never taken for absent."""
    (tmp_path / "dawdle.toml").mkdir()

    with pytest.raises(Fatal, match=r"^dawdle\.toml: can't be read \("):
        load({}, {}, tmp_path)


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    """TOML is UTF-8."""
    (tmp_path / "dawdle.toml").write_bytes("data = 'ü'".encode("latin-1"))

    with pytest.raises(Fatal, match=r"^dawdle\.toml: is not UTF-8"):
        load({}, {}, tmp_path)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    """Some editors write one."""
    (tmp_path / "dawdle.toml").write_bytes(b"\xef\xbb\xbfport = 8080\r\n")

    assert 8080 == load({}, {}, tmp_path).settings.port


# --- what users see ------------------------------------------------------------------------------


def test_the_token_is_shown_nowhere(tmp_path: Path) -> None:
    """Neither in the table nor in what a log or a traceback may print."""
    loaded = load({}, {"DAWDLE_TOKEN": SECRET}, tmp_path)

    shown = "\n".join([loaded.table(), repr(loaded), str(loaded.settings)])

    assert "(set)" in loaded.table()
    assert SECRET not in shown


@pytest.mark.parametrize("value", ["öpen-sesame", "sesame", ["open-sesame"], {"a": "open-sesame"}])
def test_a_refused_token_is_not_repeated(value: object) -> None:
    """A sentence on a terminal or in a CI log may not leak what was nearly the secret."""
    with pytest.raises(ValidationError) as refusal:
        Settings.model_validate({"token": value})

    assert "sesame" not in str(refusal.value)


def test_the_table_has_a_line_for_each_setting(tmp_path: Path) -> None:
    """Setting, value, origin, under a heading and in the order of the settings."""
    rows = [line.split() for line in load({"port": "0"}, {}, tmp_path).table().splitlines()]

    assert ["setting", *NAMES] == [row[0] for row in rows]
    assert ["port", "0", "--port"] in rows
    assert ["max_body", "1m", "default"] in rows
    assert ["allowed_hosts", "(none)", "default"] in rows


def test_every_setting_stands_in_one_group() -> None:
    """The groups list the settings in their own order, none twice, none forgotten."""
    assert NAMES == tuple(name for names in GROUPS.values() for name in names)


def test_every_setting_is_described() -> None:
    """Help and documents have one source: name, flag, environment, kind, default, description."""
    table = {row.name: row for row in settings_table()}

    assert NAMES == tuple(table)
    assert all(row.description.endswith(".") for row in table.values())
    assert ("--max-delay", "DAWDLE_MAX_DELAY", "DURATION", "300s") == (
        table["max_delay"].flag,
        table["max_delay"].environment,
        table["max_delay"].kind,
        table["max_delay"].default,
    )
    assert ["", ""] == [table["access_log"].kind, table["token"].default]


@pytest.mark.parametrize("row", settings_table(), ids=lambda row: row.name)
def test_a_documented_default_is_the_default(row: Setting, tmp_path: Path) -> None:
    """The text in the table, given on the command line, changes nothing."""
    flags = {row.name: row.default} if row.default else {}

    assert Settings() == load(flags, {}, tmp_path).settings


def test_bad_value_is_what_every_kind_raises() -> None:
    """`load` relies on it to find the sentence."""
    for name, text, _ in REFUSED:
        with pytest.raises(ValidationError) as refusal:
            Settings.model_validate({name: text})
        assert isinstance(refusal.value.errors()[0]["ctx"]["error"], BadValue)
