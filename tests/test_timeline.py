"""What a report looks like in a log."""

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import timeline, words
from app.findings import findings
from app.report import Curve, build
from app.retries import Policy, PolicyName
from app.spans import Kind, Outcome, Span, span_id
from tests.simulated import Backend, Request, gone, limited, retrying, spans_of

SECOND = 1_000_000_000
BEGIN = 1_700_000_000 * SECOND
MINUTE = 60 * SECOND


def make(sequence: int, arrival_s: float, delay_s: float, **changes: object) -> Span:
    """A reply that came as planned."""
    arrival = BEGIN + round(arrival_s * SECOND)
    due = arrival + round(delay_s * SECOND)
    values: dict[str, object] = {
        "id": span_id(1, sequence),
        "run": "demo",
        "kind": Kind.HTTP,
        "method": "GET",
        "target": "/aio",
        "arrival_ns": arrival,
        "delay_ns": round(delay_s * SECOND),
        "wait_begun_ns": arrival,
        "first_byte_ns": due,
        "last_byte_ns": due,
        "end_ns": due,
        "connection": sequence,
        "connection_request": 1,
        "status": 200,
        "outcome": Outcome.COMPLETED,
    }
    return Span(**(values | changes))  # type: ignore[arg-type]  # fields of several types


def cut(outcome: Outcome, end_s: float | None, **changes: object) -> dict[str, object]:
    """What differs in a span that got no byte."""
    end = None if end_s is None else BEGIN + round(end_s * SECOND)
    nothing = dict.fromkeys(("first_byte_ns", "last_byte_ns", "status"))
    return nothing | {"outcome": outcome, "end_ns": end} | changes


def draw(*spans: Span, now_s: float = 1000, width: int = 60, most: int = 60) -> str:
    now = BEGIN + round(now_s * SECOND)
    report = build(spans, run="demo", now_ns=now)
    return timeline.text(report, spans, width=width, most=most)


def picture(page: str) -> list[str]:
    """The lines from the first bar's heading on."""
    lines = page.splitlines()
    return lines[next(place for place, line in enumerate(lines) if "reply  plan" in line) :]


def line(page: str, start: str) -> str:
    return next(one for one in page.splitlines() if one.startswith(start))


# --- the picture ---------------------------------------------------------------------------------


def test_five_calls_in_sequence_stand_end_to_end() -> None:
    """One after another is a staircase, recognised at once."""
    begins = (0, 5, 12, 17, 22)
    spans = [
        make(i, begin, d)
        for i, (begin, d) in enumerate(zip(begins, (5, 7, 5, 5, 7), strict=True), 1)
    ]

    assert [
        "#  reply  plan",
        "1    200   5 s  ░░░░░░█",
        "2    200   7 s         ░░░░░░░░░░█",
        "3    200   5 s                    ░░░░░░█",
        "4    200   5 s                           ░░░░░░░█",
        "5    200   7 s                                   ░░░░░░░░░░█",
        "in flight       11111111111111111111111111111111111111111111",
        "seconds         0──────────────10─────────────20────────────",
        "░ waiting  █ reply",
    ] == picture(draw(*spans))


def test_five_overlapping_calls_stand_on_top_of_each_other() -> None:
    """All at once is a block; what was in flight shows below."""
    spans = [make(i, 0, d) for i, d in enumerate((5, 7, 5, 5, 7), 1)]

    assert [
        "#  reply  plan",
        "1    200   5 s  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░█",
        "2    200   7 s  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░█",
        "3    200   5 s  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░█",
        "4    200   5 s  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░█",
        "5    200   7 s  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░█",
        "in flight       55555555555555555555555555555555222222222222",
        "seconds         0───────────2────────────4───────────6──────",
        "░ waiting  █ reply",
    ] == picture(draw(*spans))


# --- marks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "mark", "reply"),
    [
        (Outcome.CLIENT_GONE, words.TIMES, "left"),
        (Outcome.FAULTED, "!", "reset"),
        (Outcome.REJECTED, "◆", "503"),
        (Outcome.ERROR, "■", "500"),
        (Outcome.SHUTDOWN, "|", "503"),
    ],
)
def test_outcome_shows_by_mark_and_word(outcome: Outcome, mark: str, reply: str) -> None:
    """No colour is needed to tell outcomes apart; dots go on to where the plan would have ended."""
    status = {Outcome.ERROR: 500, Outcome.SHUTDOWN: 503, Outcome.REJECTED: 503}.get(outcome)
    fault = "reset" if outcome is Outcome.FAULTED else None
    span = make(2, 0, 10, **cut(outcome, 5, status=status, fault=fault))

    page = draw(make(1, 0, 10), span, now_s=10)

    row = line(page, "2")
    assert reply == row.split()[1]
    assert row.endswith("░" * 20 + mark + "·" * 22)
    assert f"{mark} {timeline.WORDS[outcome]}" in page.splitlines()[-1]


def test_fault_without_a_name_is_called_fault() -> None:
    """A fault that is not named still shows as one."""
    page = draw(make(1, 0, 2, **cut(Outcome.FAULTED, 1)))

    assert "fault" == line(page, "1").split()[1]


def test_span_in_flight_goes_on_to_now() -> None:
    """Its bar is open, and dots show what is still planned within the axis."""
    page = draw(make(1, 0, 10), make(2, 0, 8, **cut(Outcome.IN_FLIGHT, None)), now_s=4)

    assert line(page, "2").startswith("2      -   8 s")
    assert line(page, "2").endswith("░" * 16 + ">" + "·" * 18)


def test_span_that_still_queues_is_all_queue() -> None:
    """Nothing is happening to it yet."""
    waiting = cut(Outcome.IN_FLIGHT, None, wait_begun_ns=None)

    assert line(draw(make(1, 0, 10), make(2, 0, 8, **waiting), now_s=10), "2").endswith("┄┄>")


def test_queue_wait_and_reply_can_be_told_apart() -> None:
    """Each phase has its own fill, in proportion."""
    begun = BEGIN + 2 * SECOND
    span = make(
        1, 0, 10, queue_wait_ns=2 * SECOND, wait_begun_ns=begun, first_byte_ns=BEGIN + 6 * SECOND
    )

    page = draw(span)

    assert line(page, "1").endswith("┄" * 8 + "░" * 18 + "█" * 18)
    assert "┄ queued  ░ waiting  █ reply" == page.splitlines()[-1]


def test_wait_that_begins_a_moment_later_shows_no_queue() -> None:
    """Rounding to columns must not make a queue of a microsecond."""
    late = make(2, 4.99999, 2, wait_begun_ns=BEGIN + 5 * SECOND + 30_000)
    spans = [make(1, 0, 10), late]

    assert not any("┄" in draw(*spans, width=width) for width in range(40, 140))


def test_span_of_no_length_has_one_column() -> None:
    """What happened is never invisible, not even at the very end of the axis."""
    refused = cut(Outcome.REJECTED, 10, delay_ns=None, wait_begun_ns=None, status=400)

    page = draw(make(1, 0, 10), make(2, 10, 0, **refused))

    assert line(page, "2").split() == ["2", "400", "-", "◆"]
    assert 60 == len(line(page, "2"))


def test_attempts_are_numbered_where_there_is_a_second_one() -> None:
    """A column is spent on them only then."""
    first = make(1, 0, 1, key="a", attempt=1, status=503)
    second = make(2, 2, 1, key="a", attempt=2)

    assert "#  reply  plan  try" == picture(draw(first, second, make(3, 3, 1)))[0]
    assert ["2", "200", "1", "s", "2"] == line(draw(first, second), "2").split()[:5]
    assert "#  reply  plan" == picture(draw(first))[0]


# --- axis and level ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delay_s", "unit", "labels"),
    [
        (0.0004, "µs", ["0", "100", "200", "300"]),
        (0.02, "ms", ["0", "5", "10", "15"]),
        (1, "seconds", ["0", "0.2", "0.4", "0.6", "0.8"]),
        (30, "seconds", ["0", "10", "20"]),
        (300, "min:s", ["0:00", "2:00", "4:00"]),
        (150, "min:s", ["0:00", "0:50", "1:40"]),
        (36_000, "min:s", ["0:00", "200:00", "400:00"]),
    ],
)
def test_axis_has_round_ticks_in_one_unit(delay_s: float, unit: str, labels: list[str]) -> None:
    """The unit follows the whole axis, the ticks are 1, 2 or 5 of it."""
    page = draw(make(1, 0, delay_s))

    axis = line(page, unit)
    assert labels == [label for label in axis[len(unit) :].strip().split("─") if label]


def test_last_tick_is_left_out_when_its_label_does_not_fit() -> None:
    """The axis is never longer than the bars."""
    assert all(len(one) <= 60 for one in draw(make(1, 0, 2), make(2, 0, 20.1)).splitlines())


def test_run_at_one_instant_has_an_axis_of_zero() -> None:
    """Nothing to divide by."""
    page = draw(make(1, 0, 0))

    assert "makespan     0 s" in page
    assert line(page, "seconds").split()[-1].startswith("0─")
    assert "in flight" == line(page, "in flight")


def test_high_levels_are_drawn_as_blocks() -> None:
    """Ten and more are no digit any longer."""
    spans = [make(number, 0, number) for number in range(1, 17)]

    level = line(draw(*spans), "in flight     ").split()[-1]
    assert ("█", "▄", "▁") == (level[0], level[len(level) // 2 + 1], level[-1])


def test_level_covers_all_requests_also_those_without_a_bar() -> None:
    """The bars may be few; the level and the figures are of all."""
    spans = [make(number, number, 1) for number in range(100)]

    page = draw(*spans, most=3)

    assert "... 97 more" in page.splitlines()
    assert "1" * 44 == line(page, "in flight       ").split()[-1]


def test_figures_tell_what_faults_and_limits_did() -> None:
    """By name, and how long requests were held; where nothing was done, nothing is said."""
    page = draw(
        make(1, 0, 1, queue_wait_ns=2 * SECOND, fault="fail"),
        make(2, 0, 1, queue_wait_ns=SECOND, barrier_wait_ns=3 * SECOND),
        make(3, 0, 1, **cut(Outcome.FAULTED, 1, fault="reset")),
        make(4, 0, 1, **cut(Outcome.REJECTED, 0, fault="rate", status=429)),
        width=100,
    )

    x = words.TIMES
    assert [
        f"on purpose   fail {x}1, rate {x}1, reset {x}1",
        f"refused      rate {x}1",
        "queued       2 requests for 3 s, at most 2 s",
        "at barrier   1 request for 3 s, at most 3 s",
    ] == [line(page, start) for start in ("on purpose", "refused", "queued ", "at barrier")]
    assert not [
        name for name in ("on purpose", "refused", "queued ") if name in draw(make(1, 0, 1))
    ]


def test_figures_alone_can_be_drawn() -> None:
    """Without any bar there is still the level over time."""
    page = draw(make(1, 0, 5), most=0)

    assert "... 1 more" in page.splitlines()
    assert "reply" not in page


def test_curve_without_steps_is_blank() -> None:
    """Spans of no length were never in flight."""
    axis = timeline._Axis(0, 10, 5)

    assert "     " == timeline._curve(Curve(1, ()), 0, axis)


# --- figures -------------------------------------------------------------------------------------


def test_empty_run_says_so() -> None:
    """One line, no axis of nothing."""
    assert "demo: no requests yet\n" == draw()


def test_headline_counts_outcomes_and_statuses() -> None:
    """Only those that happened."""
    page = draw(make(1, 0, 1), make(2, 0, 1, status=503), make(3, 0, 1, **cut(Outcome.ERROR, 1)))

    assert "demo: 3 requests (2 completed, 1 our error); status 200 \u00d71, 503 \u00d71" in (
        page.splitlines()[0] + " " + page.splitlines()[1].strip()
    )


def test_what_was_cancelled_and_dropped_and_scaled_is_said() -> None:
    """Lines for what matters in this run, and no others."""
    spans = [make(1, 0, 30, time_scale=0.5, **cut(Outcome.CLIENT_GONE, 5))]
    report = build(spans, run="demo", now_ns=BEGIN, dropped=2)

    page = timeline.text(report, spans, width=100)

    assert (
        "cancelled    1 during the delay, after 5 s of waiting where 15 s were planned; wasted"
        in page
    )
    assert "dropped      2 spans not kept, so not counted here" in page
    assert "time scale   0.5 of the planned delays" in page
    assert "lateness" not in page
    assert "cancelled" not in draw(make(1, 0, 1))


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (Policy(name=PolicyName.TOO_FEW), "too few to tell the pauses"),
        (Policy(name=PolicyName.NONE), "no pause"),
        (
            Policy(name=PolicyName.CONSTANT, first_ns=SECOND, factor=1.0, jitter=False),
            "a pause of 1\xa0s, no jitter",
        ),
        (
            Policy(
                name=PolicyName.EXPONENTIAL,
                first_ns=SECOND,
                factor=2.0,
                cap_ns=MINUTE,
                jitter=True,
            ),
            "pauses from 1\xa0s, each 2\u00d7 the last, up to 60\xa0s, with jitter",
        ),
        (
            Policy(name=PolicyName.EXPONENTIAL, first_ns=SECOND, factor=1.251),
            "pauses from 1\xa0s, each 1.25\u00d7 the last",
        ),
    ],
)
def test_policy_reads_as_words(policy: Policy, words: str) -> None:
    """What a client does between attempts, as a sentence would say it."""
    assert words == timeline.pauses(policy)


def test_first_keys_with_retries_are_named() -> None:
    """Three of them, then that there are more."""
    spans = [
        make(number, number, 0.5, key=f"key-{number // 2}", attempt=number % 2 + 1)
        for number in range(10)
    ]

    page = " ".join(draw(*spans, width=400).split())

    assert "retries 5 for 5 keys: key-0 2 attempts, too few to tell the pauses;" in page
    assert "key-2 2 attempts, too few to tell the pauses; ..." in page
    assert "key-3 2 attempts" not in page


def test_fit_of_the_pauses_is_said_where_there_is_one() -> None:
    """The error tells how far to trust the words."""
    spans = [make(number, 2 * number, 1, key="a", attempt=number + 1) for number in range(5)]

    page = " ".join(draw(*spans, width=400).split())

    assert "a 5 attempts, a pause of 1 s, no jitter (error 0 %)" in page


@pytest.mark.parametrize(
    ("ns", "expected"),
    [
        (0, "0 s"),
        (999, "0.999 µs"),
        (412_345, "412 µs"),
        (4_120_000, "4.12 ms"),
        (999_400_000, "999 ms"),
        (999_999_999, "1 s"),
        (7_013_200_000, "7.01 s"),
        (119 * SECOND, "119 s"),
        (120 * SECOND, "2:00 min"),
        (3_725 * SECOND, "62:05 min"),
    ],
)
def test_length_has_three_digits_that_matter(ns: int, expected: str) -> None:
    """In the unit people would use."""
    assert expected == words.length(ns).replace("\xa0", " ")


# --- text from clients, width --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("order-17", "order-17"),
        ("\x1b[2J\r\n", r"\x1b[2J\r\n"),
        ("a\u202eb\u200b", r"a\u202eb\u200b"),
        ("e\u0301", r"e\u0301"),
        ("注文", r"\u6ce8\u6587"),
        ("\udc80\xa0", r"\udc80\xa0"),
        ("é'\"", "é'\""),
        ("x" * 40, "x" * 29 + "..."),
        ("x" * 32, "x" * 32),
    ],
)
def test_client_text_is_printed_in_plain_columns(raw: str, shown: str) -> None:
    """What would move the cursor, or take no column or two, is escaped; what is long is cut."""
    assert shown == words.printable(raw, 32)


def test_keys_and_targets_stand_at_the_right_where_there_is_room() -> None:
    """From a hundred columns on: the key, else method and target."""
    spans = [make(1, 0, 1, key="order-17"), make(2, 0, 1, target="/aio?delay=1")]

    assert line(draw(*spans, width=100), "1 ").endswith("  order-17")
    assert line(draw(*spans, width=100), "2 ").endswith("  GET /aio?delay=1")
    assert "order-17" not in draw(*spans, width=99)


@pytest.mark.parametrize(
    ("columns", "expected"), [(-1, 40), (39, 40), (40, 40), (80, 80), (400, 400), (401, 400)]
)
def test_width_that_fits_is_the_nearest(columns: int, expected: int) -> None:
    """Of a window too narrow or too wide, what there is a text for."""
    assert expected == timeline.fitting(columns)


def test_page_in_ascii_has_the_same_shape() -> None:
    """For consoles that know no more; a sign a line, none lost."""
    spans = [make(1, 0, 5, key="né"), make(2, 0, 10, **cut(Outcome.CLIENT_GONE, 3))]
    rich = draw(*spans, width=120)
    poor = timeline.in_ascii(rich)

    assert poor.isascii()
    assert [len(one) for one in rich.splitlines()] == [len(one) for one in poor.splitlines()]
    assert "---x" in line(poor, "2")
    assert "- waiting  # reply  . not reached  x client left" in poor


_texts = st.text(max_size=60)


@given(
    st.lists(
        st.tuples(
            st.floats(0, 400),
            st.floats(0, 400),
            st.sampled_from(Outcome),
            _texts,
            _texts,
            st.integers(1, 3),
        ),
        max_size=12,
    ),
    st.integers(-1, 500),
    st.integers(0, 15),
)
def test_no_line_is_longer_than_asked_for(
    drawn: list[tuple[float, float, Outcome, str, str, int]],
    width: int,
    most: int,
) -> None:
    """Whatever arrives, within 40 to 400 columns; nothing unprintable, no trailing blank."""
    spans = [
        make(number, arrival, length, outcome=outcome, key=key or None, target=target, attempt=a)
        for number, (arrival, length, outcome, key, target, a) in enumerate(
            sorted(drawn, key=lambda one: one[0])
        )
    ]

    page = draw(*spans, width=width, most=most)

    lines = page.split("\n")
    assert [*map(len, lines)] == [*map(len, timeline.in_ascii(page).split("\n"))]
    assert max(map(len, lines)) <= min(max(width, 40), 400)
    assert all(one == one.rstrip() and (one.isprintable() or not one) for one in lines)
    assert not lines.pop()


# --- findings and retries ------------------------------------------------------------------------


def test_findings_stand_between_figures_and_bars() -> None:
    """The gravest word first, each with its remedy, no line longer than asked for."""
    spans = spans_of(limited(Random(1), count=25, limit=1, delay=lambda: 0.1))
    report = build(iter(spans), run="demo", now_ns=BEGIN)

    page = timeline.text(report, spans, findings(report), width=60)

    _, told, *_ = page.split("\n\n")[1:]
    assert told.startswith("WARNING sequential: 25 requests came one after another")
    assert "\n  -> If they do not depend on each other" in told
    assert max(map(len, page.splitlines())) <= 60


def test_retries_are_told_with_what_they_have_in_common() -> None:
    """The policy of all, what was guessed, and whether Retry-After was heeded."""
    refusal: dict[str, object] = {"status": 429, "retry_after_ns": SECOND}
    requests = retrying(
        Random(1), keys=3, backend=Backend(4, lambda: 0.1), pause=lambda k: 2**k, named=False
    )
    requests += retrying(
        Random(1), keys=1, backend=Backend(1, lambda: 0.1, refusal), pause=lambda _: 2
    )
    spans = spans_of(requests)
    report = build(iter(spans), run="demo", now_ns=BEGIN)

    page = " ".join(timeline.text(report, spans, width=120).split())

    assert "retries 13 for 4 keys (12 told by method and target alone)" in page
    assert "all together pauses from 2 s, each 2x the last" in page.replace(words.TIMES, "x")
    assert "Retry-After obeyed 1 of 1 time" in page


def test_inferred_timeout_is_told_with_the_hang_ups() -> None:
    """And when they left."""
    requests = [Request(3 * n, 3 * n + 2, gone(first_byte_ns=None)) for n in range(5)]
    spans = spans_of(requests)
    report = build(iter(spans), run="demo", now_ns=BEGIN)

    page = " ".join(timeline.text(report, spans, width=120).split())

    assert "cancelled 5 during the delay" in page
    assert "; timeout at 2 s" in page


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("░░█", "\x1b[2m░░\x1b[0m\x1b[32m█\x1b[0m"),
        ("WARNING starved: x", "\x1b[1;31mWARNING\x1b[0m starved: x"),
        ("note unbounded: x", "\x1b[33mnote\x1b[0m unbounded: x"),
        ("take note", "take note"),
        ("FAILED peak", "\x1b[1;31mFAILED\x1b[0m peak"),
    ],
)
def test_colours_dress_marks_and_words_alone(page: str, expected: str) -> None:
    """Taken off again, the text is what it was."""
    dressed = timeline.in_colour(page)

    assert expected == dressed
    assert page == re.sub(r"\x1b\[[0-9;]*m", "", dressed)
