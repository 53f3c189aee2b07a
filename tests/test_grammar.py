"""Tests of `app.grammar`: what it reads, what it refuses, and that it never does anything else."""

from collections.abc import Callable
from fractions import Fraction
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app import grammar
from app.errors import BadValue
from app.grammar import Bounds, Rate

READERS: dict[str, Callable[[str], object]] = {
    "duration": grammar.duration,
    "decimal": grammar.decimal,
    "integer": grammar.integer,
    "seed": grammar.seed,
    "size": grammar.size,
    "rate": grammar.rate,
    "run_name": grammar.run_name,
    "profile_name": grammar.profile_name,
    "key": grammar.key,
    "weighted": grammar.weighted,
    "pairs": grammar.pairs,
    "unescape": grammar.unescape,
    "bounds": lambda text: grammar.bounds(text, grammar.duration),
}
NUMBERS = ("duration", "decimal", "integer", "seed", "size", "rate")

# What Python's own float() and int() take, or nearly, and we don't.
NO_NUMBER = [
    *["", " ", "nan", "NaN", "inf", "-inf", "infinity", "Infinity", "1e3", "1E3", "1e400", "1_0"],
    *[".5", "5.", ".", "1.2.3", "+1", "- 1", "--1", "-", " 1", "1 ", "1\n", "\t1", "1\x00", "0x10"],
    *["٣", "१", "1٣", "\uff11", "²", "½", "1,5", "1 000", "1'000", "5sec", "5S", "5h", "s", "ms"],
    *["%31", "%ff", "1%", "9" * 5_000, "0" * 5_000, "1." + "0" * 5_000, "\ud800", "None", "true"],
]

SECOND = 1_000_000_000


@pytest.mark.parametrize("reader", NUMBERS)
@pytest.mark.parametrize("text", NO_NUMBER, ids=lambda text: ascii(text[:12]))
def test_what_is_no_number_is_refused(reader: str, text: str) -> None:
    """Only ASCII digits count; the sentence shows the value and how to write it."""
    with pytest.raises(BadValue, match=r"^['\"].* is not an? .*; write ") as refusal:
        READERS[reader](text)

    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("reader", ["duration", "decimal", "integer", "size"])
def test_only_a_seed_may_be_negative(reader: str) -> None:
    """No sign anywhere else."""
    assert -1 == grammar.seed("-1")
    with pytest.raises(BadValue):
        READERS[reader]("-1")


@given(st.sampled_from(sorted(READERS)), st.text(st.characters(exclude_categories=())))
@example("unescape", "\ud800")
@example("key", "\udcff")
def test_garbage_is_read_or_refused(reader: str, text: str) -> None:
    """Whatever the text, surrogates included: a value or a `BadValue`, nothing else."""
    try:
        READERS[reader](text)
    except BadValue as refusal:
        str(refusal).encode()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "piece", ["9", "(", ")", ",", "%", "%41", "&", "a=1&", "..", ":", "-", "."]
)
def test_a_novel_is_refused_or_read_in_linear_time(reader: str, piece: str) -> None:
    """A million characters; anything quadratic would be at it for an hour."""
    text = piece * (1_000_000 // len(piece))
    try:
        READERS[reader](text)
    except BadValue as refusal:
        assert len(str(refusal)) < 200  # noqa: PT017


# --- durations -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("0", 0),
        ("2", 2 * SECOND),
        ("007", 7 * SECOND),
        ("0.5", SECOND // 2),
        ("2s", 2 * SECOND),
        ("250ms", SECOND // 4),
        ("1.5m", 90 * SECOND),
        ("0.001ms", 1_000),
        ("0.0005ms", 1_000),  # half a microsecond rounds up
        ("0.0004999ms", 0),
        ("0.0000015", 2_000),
        ("0.000000000000000001", 0),  # 20 characters
        ("99999999999999999999", 99_999_999_999_999_999_999 * SECOND),
    ],
)
def test_durations_are_read_exactly(text: str, ns: int) -> None:
    """No unit means seconds; nothing goes through floating point."""
    assert ns == grammar.duration(text)


def test_a_duration_of_21_characters_is_refused() -> None:
    """At most 20, unit included."""
    assert 1_000_000 == grammar.duration("000000000000000001ms")
    with pytest.raises(BadValue):
        grammar.duration("0000000000000000001ms")


@pytest.mark.parametrize(("unit", "ns"), [("ms", 5_000_000), ("m", 300 * SECOND)])
def test_a_caller_may_mean_another_unit(unit: str, ns: int) -> None:
    """`100-300ms`: one unit serves both ends, but a written one wins."""
    assert ns == grammar.duration("5", unit=unit)
    assert 5 * SECOND == grammar.duration("5s", unit=unit)


@given(
    st.integers(0, 10**8),
    st.from_regex(r"[0-9]{0,9}", fullmatch=True),
    st.sampled_from(sorted(grammar.NANOSECONDS)),
)
def test_a_duration_is_its_fraction_rounded_half_up(whole: int, digits: str, unit: str) -> None:
    """Exact arithmetic, then whole microseconds."""
    text = f"{whole}.{digits}" if digits else str(whole)
    microseconds = Fraction(text) * grammar.NANOSECONDS[unit] / 1_000

    assert int(microseconds + Fraction(1, 2)) * 1_000 == grammar.duration(text + unit)


@given(st.integers(0, 10**12))
def test_a_duration_reads_back(microseconds: int) -> None:
    """`duration(duration_text(ns)) == ns`."""
    assert microseconds * 1_000 == grammar.duration(grammar.duration_text(microseconds * 1_000))


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0s"),
        (1_000, "0.001ms"),
        (SECOND // 4, "250ms"),
        (3 * SECOND // 2, "1500ms"),
        (60 * SECOND, "60s"),
    ],
)
def test_a_duration_is_written_in_seconds_when_whole(ns: int, text: str) -> None:
    """Else in milliseconds."""
    assert text == grammar.duration_text(ns)


@given(st.integers(0, 10**18), st.sampled_from([1, 1_000, 10**6, 10**9]))
def test_decimal_text_is_exact_and_plain(ns: int, unit_ns: int) -> None:
    """No exponent, no trailing zeros, nothing lost."""
    text = grammar.decimal_text(ns, unit_ns)

    assert Fraction(ns, unit_ns) == Fraction(text)
    assert set(text) <= set("0123456789.")
    assert "." not in text or not text.endswith(("0", "."))


# --- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0.0), ("2", 2.0), ("0.5", 0.5), ("00.50", 0.5), ("9" * 20, 1e20)]
)
def test_decimals(text: str, number: float) -> None:
    """Digits, and digits after a point."""
    assert number == grammar.decimal(text)
    with pytest.raises(BadValue):
        grammar.decimal("9" * 21)


@given(st.floats(0, 1e18))
def test_number_text_is_exact_and_plain(number: float) -> None:
    """No exponent, no needless zeros, nothing lost."""
    text = grammar.number_text(number)

    assert number == float(text)
    assert set(text) <= set("0123456789.")
    assert "." not in text or not text.endswith(("0", "."))


@given(st.integers(0, 10**18 - 1))
def test_an_integer_reads_back(number: int) -> None:
    """Up to 18 digits, as itself and as a seed of either sign."""
    assert number == grammar.integer(str(number))
    assert (number, -number) == (grammar.seed(str(number)), grammar.seed(str(-number)))


@pytest.mark.parametrize("reader", ["integer", "seed", "size"])
def test_19_digits_are_refused(reader: str) -> None:
    """18 are the most."""
    READERS[reader]("9" * 18)
    with pytest.raises(BadValue):
        READERS[reader]("1" * 19)


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("4096", 4_096), ("10k", 10_240), ("1m", 1_048_576)]
)
def test_sizes_count_in_1024s(text: str, size: int) -> None:
    """Bytes, k or m."""
    assert size == grammar.size(text)


@pytest.mark.parametrize("text", ["10K", "1M", "1kb", "1g", "1.5k", "k"])
def test_other_sizes_are_refused(text: str) -> None:
    """No capitals, no fractions, no other units."""
    with pytest.raises(BadValue, match="is not a size; write bytes such as 4096, 10k or 1m"):
        grammar.size(text)


# --- rates ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10/s", Rate(10, 1_000_000_000)),
        ("1/m", Rate(1, 60_000_000_000)),
        ("999999999999999999/s", Rate(10**18 - 1, 1_000_000_000)),
        ("007/m", Rate(7, 60_000_000_000)),
    ],
)
def test_a_rate_is_a_number_in_a_period(text: str, expected: Rate) -> None:
    """A second or a minute."""
    assert expected == grammar.rate(text)


@pytest.mark.parametrize(
    "text",
    ["", "10", "10/", "/s", "10/h", "10/ms", "1.5/s", "-1/s", "10 /s", "10/S", "1" * 19 + "/s"],
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    """The sentence shows what one looks like."""
    with pytest.raises(BadValue, match="write a number a second or minute, as 10/s"):
        grammar.rate(text)


def test_a_rate_of_nothing_is_refused() -> None:
    """It would let nobody through, ever."""
    with pytest.raises(BadValue, match="'0/s' lets nothing through; use 1 or more"):
        grammar.rate("0/s")


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "0",
        "_",
        "~",
        "-",
        "a.b",
        "a..b.",
        "CI-7",
        "json",
        "a.JSON",
        "Latest",
        "latest-1",
        "a" * 64,
    ],
)
def test_run_names(name: str) -> None:
    """Letters, digits and four signs; a dot anywhere but first."""
    assert name == grammar.run_name(name)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("", "use 1 to 64"),
        ("a" * 65, "use 1 to 64"),
        (".a", "not beginning with '.'"),
        ("..", "not beginning with '.'"),
        ("a/b", "use 1 to 64 letters"),
        ("a b", "use 1 to 64 letters"),
        ("a\n", "use 1 to 64 letters"),
        ("é", "use 1 to 64 letters"),
        ("a%2Fb", "use 1 to 64 letters"),
        ("latest", "choose another name"),
    ]
    + [
        (f"ci{suffix}", f"leave out {suffix}")
        for suffix in (".html", ".json", ".jsonl", ".csv", ".har", ".svg", ".txt")
    ],
)
def test_what_can_not_name_a_run(name: str, rule: str) -> None:
    """It would need escaping, be taken for a format, or for the alias."""
    with pytest.raises(BadValue) as refusal:
        grammar.run_name(name)

    assert rule in str(refusal.value)


@given(st.text(st.sampled_from("aZ09._~-/ %é"), max_size=70))
def test_a_run_name_needs_no_escaping(text: str) -> None:
    """What is accepted is the same in a URL, and never a path of its own."""
    try:
        name = grammar.run_name(text)
    except BadValue:
        return

    assert quote(name, safe="") == name == text
    assert name not in (".", "..", "latest")


@pytest.mark.parametrize("prefix", ["ci", "_", "a.txt", "latest", "a" * 57])
def test_prefix_of_a_run_leaves_room_for_its_number(prefix: str) -> None:
    """With the highest number it still names a run."""
    assert grammar.run_name(f"{grammar.run_prefix(prefix)}-999999")


@pytest.mark.parametrize("prefix", ["", "a b", ".a", "é", "a/b", "a" * 58])
def test_what_can_not_begin_the_name_of_a_run(prefix: str) -> None:
    """The sentence quotes what was written, without a number."""
    with pytest.raises(BadValue, match="can't begin the name of a run; use 1 to 57 letters"):
        grammar.run_prefix(prefix)


@pytest.mark.parametrize("name", ["a", "slow-tail", "z9-", "a" * 32])
def test_profile_names(name: str) -> None:
    """Lower case, beginning with a letter."""
    assert name == grammar.profile_name(name)


@pytest.mark.parametrize("name", ["", "A", "9a", "-a", "a_b", "a.b", "a b", "a\n", "ä", "a" * 33])
def test_what_can_not_name_a_profile(name: str) -> None:
    """The sentence says what can."""
    with pytest.raises(BadValue, match="use 1 to 32 of a-z, 0-9 and '-', beginning with a letter"):
        grammar.profile_name(name)


@pytest.mark.parametrize("key", ["a", " ", "é", "\u2028", "👋", "a b&c=d", "x" * 256, "👋" * 256])
def test_keys_are_plain_text(key: str) -> None:
    """Characters count, not bytes."""
    assert key == grammar.key(key)


@pytest.mark.parametrize(
    "key",
    ["", "x" * 257, "\x00", "a\nb", "a\tb", "\x1f", "\x7f", "\x80", "\x9f", chr(0xD800), "\udcff"],
)
def test_what_is_no_key(key: str) -> None:
    """Empty, too long, control characters, and bytes that were no UTF-8."""
    with pytest.raises(BadValue):
        grammar.key(key)


# --- showing -------------------------------------------------------------------------------------


@given(st.text(st.characters(exclude_categories=())))
def test_quoted_is_short_and_printable(text: str) -> None:
    """Safe for a terminal, a log and a page, whoever wrote the text."""
    shown = grammar.quoted(text)

    assert shown.isprintable()
    assert len(shown) <= 60 * len("\\U0010ffff") + 2


def test_quoted_cuts_a_novel() -> None:
    """60 characters are shown whole, more are not."""
    assert repr("x" * 60) == grammar.quoted("x" * 60)
    assert repr("x" * 57 + "...") == grammar.quoted("x" * 61)


@given(st.binary())
def test_readable_is_unicode(raw: bytes) -> None:
    """A header's bytes as they are when they are UTF-8, else with replacement characters."""
    shown = grammar.readable(raw.decode("utf-8", "surrogateescape"))

    assert raw.decode("utf-8", "replace") == shown


# --- lists ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", [""]),
        ("a", ["a"]),
        (",", ["", ""]),
        ("a,b", ["a", "b"]),
        ("f(1,2),b", ["f(1,2)", "b"]),
        ("f(g(1,2),3),b", ["f(g(1,2),3)", "b"]),
        ("f(1,2", ["f(1,2"]),
    ],
)
def test_commas_count_outside_parentheses_only(text: str, parts: list[str]) -> None:
    """However deep."""
    assert parts == grammar.split(text)


@given(st.text(st.sampled_from("ab,;()")))
def test_split_loses_nothing(text: str) -> None:
    """The parts, put together again, are the text."""
    assert text == ",".join(grammar.split(text))
    assert text == ";".join(grammar.split(text, ";"))


@pytest.mark.parametrize(
    ("text", "called"),
    [
        ("f(a,b)", ("f", "a,b")),
        ("f()", ("f", "")),
        ("(a)", ("", "a")),
        ("f(g(a))", ("f", "g(a)")),
        ("f", None),
        ("f(a", None),
        ("f)", None),
        ("f(a)b", None),
    ],
)
def test_calls(text: str, called: tuple[str, str] | None) -> None:
    """`name(arguments)`, or something else."""
    assert called == grammar.call(text)


@pytest.mark.parametrize(
    ("item", "parts"),
    [("a", ("a", None)), ("a:1", ("a", "1")), ("a:b:0.50", ("a:b", "0.50")), (":1", ("", "1"))],
)
def test_weights_follow_the_last_colon(item: str, parts: tuple[str, str | None]) -> None:
    """The weight stays a text, so that it can be shown as it was written."""
    assert parts == grammar.weighted(item)


@pytest.mark.parametrize("weight", ["", "-1", "nan", "inf", "1e3", "x"])
def test_a_weight_is_a_decimal(weight: str) -> None:
    """Nothing that could unbalance a sum."""
    with pytest.raises(BadValue, match="is not a number"):
        grammar.weighted(f"a:{weight}")


# --- the query string ----------------------------------------------------------------------------

plain_text = st.text(min_size=1)  # no surrogates, unless asked for
named = st.dictionaries(plain_text.filter(lambda name: name[0] != "_"), plain_text, max_size=32)


@given(named, st.sampled_from([quote, quote_plus]))
def test_an_encoded_query_reads_back(
    given_pairs: dict[str, str], encode: Callable[..., str]
) -> None:
    """Whatever the names and values, in order."""
    query = urlencode(given_pairs, quote_via=encode)

    assert list(given_pairs.items()) == grammar.pairs(query)


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        ("", []),
        ("&&", []),
        ("a=1&b=2", [("a", "1"), ("b", "2")]),
        ("a=1;b=2", [("a", "1;b=2")]),
        ("a=b=c", [("a", "b=c")]),
        ("a=+", [("a", " ")]),
        ("a+b=%2B%20", [("a b", "+ ")]),
        ("%61=%C3%A9", [("a", "é")]),
        ("a=é", [("a", "é")]),
        ("a=\udcc3\udca9", [("a", "é")]),  # the bytes of é as a header value has them
        ("_", []),
        ("_=1&_=2&_x=%ff&%5Fy", []),
    ],
)
def test_queries(query: str, pairs: list[tuple[str, str]]) -> None:
    """`&` only; `+` and `%20` are a space; what begins with `_` is not there."""
    assert pairs == grammar.pairs(query)


@pytest.mark.parametrize(
    "value",
    [
        "%",
        "%f",
        "1%",
        "%zz",
        "%%",
        "%u0041",
        "%ff",
        "%C3",
        "%C3%28",
        "%ED%A0%80",
        "%C0%AF",
        "\udcff",
        chr(0xD800),
    ],
)
def test_a_broken_escape_is_refused_by_name(value: str) -> None:
    """Strict UTF-8: cut short, overlong, a surrogate, or nothing at all."""
    with pytest.raises(BadValue) as refusal:
        grammar.pairs(f"seed=1&delay={value}")

    assert "delay" == refusal.value.parameter


@pytest.mark.parametrize(
    ("query", "name", "rule"),
    [
        ("delay", "delay", "'delay' has no value; give it one or leave it out"),
        ("delay=", "delay", "'delay' has no value; give it one or leave it out"),
        ("a=1&b=2&a=1", "a", "'a' is given twice; once is enough"),
        ("a=1&%61=2", "a", "'a' is given twice; once is enough"),
        ("=", None, "'=' has no name; write NAME=VALUE or leave it out"),
        ("a=1&=5", None, "'=5' has no name; write NAME=VALUE or leave it out"),
    ],
)
def test_a_name_stands_once_and_with_a_value(query: str, name: str | None, rule: str) -> None:
    """Else it is refused, and named."""
    with pytest.raises(BadValue) as refusal:
        grammar.pairs(query)

    assert rule in str(refusal.value)
    assert name == refusal.value.parameter


def test_a_33rd_name_is_refused() -> None:
    """32 at most; ignored ones don't count."""
    query = "&".join(
        [f"a{number}=1" for number in range(32)] + [f"_{number}" for number in range(99)]
    )

    assert 32 == len(grammar.pairs(query))
    with pytest.raises(BadValue, match="more than 32 names here; send fewer"):
        grammar.pairs(f"{query}&b=1")


# --- bounds --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "least", "most"), [("5", 5, 5), ("..5", None, 5), ("3..", 3, None), ("3..5", 3, 5)]
)
def test_bounds(text: str, least: int | None, most: int | None) -> None:
    """One number is both ends; an end left out is open."""
    bounds = grammar.bounds(text, grammar.integer)

    assert Bounds(least, most) == bounds


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_both_ends_are_within_bounds(first: int, second: int, value: int) -> None:
    """`3..5` admits 3, 4 and 5."""
    least, most = sorted([first, second])

    assert (least <= value <= most) == grammar.bounds(f"{least}..{most}", grammar.integer).admits(
        value
    )
    assert (value >= least) == grammar.bounds(f"{least}..", grammar.integer).admits(value)
    assert (value <= most) == grammar.bounds(f"..{most}", grammar.integer).admits(value)
    assert (value == most) == grammar.bounds(f"{most}", grammar.integer).admits(value)


def test_bounds_are_read_by_any_reader() -> None:
    """Durations, decimals, integers."""
    assert Bounds(None, 12 * SECOND) == grammar.bounds("..12s", grammar.duration)
    assert Bounds(0.5, 1.5) == grammar.bounds("0.5..1.5", grammar.decimal)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "5..3",
        "5.",
        ".5",
        "1...5",
        "1....5",
        "1..2..3",
        "-1..2",
        "nan..",
        "..inf",
        "a",
        " 1..2",
        "1..2 ",
    ],
)
def test_other_bounds_are_refused(text: str) -> None:
    """Among them those that nothing could meet."""
    with pytest.raises(BadValue):
        grammar.bounds(text, grammar.decimal)


# --- addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7777", ("here", 7777)),
        ("0", ("here", 0)),
        ("65535", ("here", 65_535)),
        ("127.0.0.1:7777", ("127.0.0.1", 7777)),
        ("echo.example-1.com:1", ("echo.example-1.com", 1)),
        ("[::1]:7777", ("::1", 7777)),
    ],
)
def test_endpoint_is_a_host_and_a_port(text: str, expected: tuple[str, int]) -> None:
    """Without a host it is the one that is meant by default."""
    assert expected == grammar.endpoint(text, host="here")


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "localhost",
        ":7777",
        "::1:7777",
        "[::1]",
        "a:65536",
        "a:-1",
        "a:1e3",
        "a b:1",
        "a:1 ",
    ],
)
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    """With what one looks like."""
    with pytest.raises(BadValue, match="no address of a port; write such as"):
        grammar.endpoint(text, host="here")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dely", "the nearest is delay (a name beginning with _ would be ignored)"),
        ("DELAY", "the nearest is delay (names are case-sensitive)"),
        ("zzz", "the nearest is rate of delay, rate"),
    ],
)
def test_nearest_known_name_is_told(name: str, words: str) -> None:
    """And where none is near, all of them."""
    assert words == grammar.nearest(name, ["delay", "rate"])
