"""Pages are well formed, self-contained, captioned and escaped."""

from __future__ import annotations

import dataclasses
import math
import string

import pytest
from html_check import check
from hypothesis import given, settings
from hypothesis import strategies as st

from argmind.eval.statistics import Interval
from argmind.report.data import BudgetRow, Curve, PassageToken, Scores
from argmind.report.limits import best_row, comparison, limits
from argmind.report.markup import duration, escape, number, span, token_label, visible
from argmind.report.page import Bullets, Cell, Heading, Page, Prose, Table, stylesheet
from argmind.report.passage import INK, RAMPS, UNKNOWN, passage_html, shade
from argmind.report.passage import limits as colour_limits
from argmind.report.text import text_report
from argmind.report.thinking import thinking_html, thinking_page


@pytest.fixture(scope="module")
def page(example_text_report) -> str:
    return text_report(example_text_report)


def test_the_checker_finds_faults():
    """Each kind of fault is noticed, or the tests below would prove nothing."""
    broken = {
        "<p><b>x</p></b>": "closes something else",
        "<p>": "never closed",
        "<figure></figure>": "without exactly one caption",
        '<script src="a.js"></script>': "can load",
        '<a href="https://a.b">x</a>': "link to",
        '<img alt="a" src="b.png">': "<img src>",
        '<img alt="a" src="data:image/svg+xml;base64,aa">': "<img src>",
        '<img src="data:image/png;base64,aa">': "without words",
        '<i id="a"></i><i id="a"></i>': "stands twice",
        "a\0b": "forbidden",
        "<style>@import 'x'</style>": "loads something",
        '<b onclick="x()"></b>': "onclick",
    }
    for text, fault in broken.items():
        assert any(fault in found for found in check(text).faults), text


def test_the_report_is_sound_and_asks_nobody_for_anything(page):
    found = check(page)
    assert found.faults == []
    assert found.tags["html"] == found.tags["body"] == found.tags["h1"] == 1
    assert found.tags["svg"] == 7
    assert found.tags["figure"] == found.tags["figcaption"] == 13
    assert page.encode("utf-8")


def test_the_report_has_every_section(page):
    assert check(page).headings == [
        "argmind quickstart: English text",
        "What thinking bought",
        "Learning",
        "Loss and energy against thinking steps",
        "Does it know when it is wrong?",
        "A passage",
        "Sampled continuations",
        "What this does and does not show",
    ]


def test_the_report_tells_the_figures(page, example_text_report):
    words = check(page).words
    for row in example_text_report.budgets:
        assert number(row.nats.value) in words
        assert span(row.bits_per_byte) in words
    for fact in (
        "argmind quickstart --domain text --minutes 6 --seed 1",
        "0123456789ab",
        "1,204,224",
        "2 min 31 s",
        "2 cores",
        "no difference beyond the interval",
        "alert(1)",
    ):
        assert fact in words
    assert words.count("<script>alert(1)</script>") >= 15
    assert "nan" not in words.lower().split()


def test_the_same_report_is_the_same_page(page, example_text_report):
    assert text_report(example_text_report) == page


def test_optional_parts_may_be_absent(example_text_report):
    bare = dataclasses.replace(
        example_text_report,
        curves=(),
        scores=(),
        passage=(),
        samples=(),
        budgets=example_text_report.budgets[:1],
    )
    found = check(text_report(bare))
    assert found.faults == []
    assert len(found.headings) == 4
    with pytest.raises(ValueError, match="budget"):
        text_report(dataclasses.replace(bare, budgets=()))


def test_hostile_text_everywhere(example_text_report):
    bad = "<script>\"x\" 'y' & \0\n$^{$ </style></script>"
    report = dataclasses.replace(
        example_text_report,
        title=bad,
        data=bad,
        parameters={bad: 3},
        phases_s={bad: 1.0},
        rival=dataclasses.replace(example_text_report.rival, model=bad),
        curves=[dataclasses.replace(c, model=bad) for c in example_text_report.curves],
        scores=[dataclasses.replace(s, model=bad, signal=bad) for s in example_text_report.scores],
        notes=[bad],
    )
    assert check(text_report(report)).faults == []


@settings(max_examples=300)
@given(st.text(), st.booleans())
def test_any_text_can_stand_in_a_page(text, breaks):
    shown = escape(text, breaks)
    found = check(f'<p title="{shown}">{shown}</p>')
    assert [fault for fault in found.faults if fault != "an address"] == []
    assert found.words == visible(text, breaks)
    shown.encode("utf-8")
    assert (text == "") == (visible(text) == "")


@given(st.text(string.ascii_letters + string.digits + " .,;:!?<>&\"'é漢😀", max_size=40))
def test_ordinary_text_is_left_as_it_is(text):
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", "a⏎b"),
        ("\t", "⇥"),
        ("\0\x1b\x7f", "␀␛␡"),
        ("\x85", "⟨U+0085⟩"),
        ("\u202etxt", "⟨U+202E⟩txt"),
        ("\ud800", "\ufffd"),
        ("\uffff", "\ufffd"),
    ],
)
def test_invisible_characters_are_shown(text, shown):
    assert visible(text) == shown


def test_a_newline_still_breaks_the_line_of_a_passage():
    assert visible("a\nb", breaks=True) == "a⏎\nb"
    assert token_label(" a b") == "␣a␣b"
    assert token_label("") == "(empty)"


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("quantity", sorted(RAMPS))
def test_tokens_are_readable_and_darker_means_more(quantity):
    """Contrast of at least 7 : 1 (WCAG 2.2, level AAA) on every shade."""
    shades = [shade(i / 40, RAMPS[quantity]) for i in range(41)]
    light = [luminance(colour) for colour in [*shades, UNKNOWN]]
    assert min((value + 0.05) / (luminance(INK) + 0.05) for value in light) >= 7
    assert light[:-1] == sorted(light[:-1], reverse=True)
    assert shade(-1, RAMPS[quantity]) == shades[0]
    assert shade(2, RAMPS[quantity]) == shades[-1]


def token(energy: float) -> PassageToken:
    top = [("<i>", 0.5), ("b", 0.25)]
    return PassageToken(text="a", energy=energy, loss=1.5, steps=3, top=top)


def test_a_passage_colours_by_value_and_says_the_figures():
    shown = passage_html([token(0.0), token(1.0), token(math.nan)], "energy")
    found = check(shown)
    low, _, high = RAMPS["energy"]
    places = [shown.index(f"background:{c};color") for c in (low, high, UNKNOWN)]
    assert places == sorted(places)
    assert found.faults == []
    for word in ("energy 1.000", "loss 1.500 nats", "steps 3", "<i> 50.0 %", "not finite"):
        assert word in found.words
    assert "not finite" not in passage_html([token(1.0)], "energy")
    with pytest.raises(ValueError, match="at least one"):
        passage_html([], "loss")


def test_one_extreme_token_does_not_take_all_the_colour():
    low, high = colour_limits([*range(100), 1e9])
    assert 0 <= low < 5
    assert 90 < high < 110
    assert colour_limits([math.nan, math.inf]) == (0.0, 0.0)


def test_the_thinking_page(thoughts):
    shown = thinking_page(thoughts, [("prompt", "a < b")])
    found = check(shown)
    assert found.faults == []
    assert found.tags["section"] == len(thoughts)
    assert found.tags["tr"] == sum(len(t["steps"]) + 1 for t in thoughts)
    assert shown.count('class="chip true"') == sum(len(t["steps"]) for t in thoughts)
    assert "diverged" in found.words
    assert "a < b" in found.words


def test_the_bar_of_an_energy_spans_the_range_of_its_token():
    steps = [{"energy": e, "top": [["a", 0.5]]} for e in (2.0, 1.5, 1.0)]
    shown = thinking_html([{"token": "a", "steps": steps}])
    places = [shown.index(f'<i style="width:{width}%') for width in (100, 50, 0)]
    assert places == sorted(places)
    assert "--share:50.0%" in shown


def test_a_page_of_parts():
    table = Table(
        header=("model", "loss"),
        rows=[("a<b", Cell("1.0", "0.9 … 1.1"))],
        caption="Losses of the models that were run.",
        marked=frozenset({0}),
    )
    parts = [Heading("H & M", 3), Prose("1 < 2"), Bullets(["a", "b"]), table]
    shown = Page(title="T", sections=parts).render()
    found = check(shown)
    assert found.faults == []
    assert found.tags["li"] == 2
    assert found.headings == ["T", "H & M"]
    assert 'class="marked"' in shown
    assert stylesheet() in shown
    with pytest.raises(ValueError, match="1 cells under 2"):
        Table(header=("a", "b"), rows=[("x",)], caption="c")


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.5, "1.500"), (-1.0, "−1.000"), (12345.0, "12,345.000"), (None, "–"), (math.nan, "–")],
)
def test_numbers(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3.25, "3.2 s"), (59.6, "59.6 s"), (250, "4 min 10 s"), (7500, "2 h 5 min"), (math.inf, "–")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def row(steps: int, nats: float, difference: Interval | None, candidates: int = 1) -> BudgetRow:
    loss = Interval(nats, nats - 0.02, nats + 0.02)
    return BudgetRow(
        model="EBT",
        steps=steps,
        candidates=candidates,
        nats=loss,
        bits_per_byte=loss,
        nfe=steps,
        ms_per_token=1.0 + steps,
        difference=difference,
    )


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        (Interval(-0.1, -0.2, -0.05), "better"),
        (Interval(0.1, 0.05, 0.2), "worse"),
        (Interval(0.0, -0.1, 0.1), "no difference beyond the interval"),
        (None, "better"),  # its own interval then decides: 3.10 ± 0.02 against 3.19
    ],
)
def test_the_verdict_follows_the_paired_difference(example_text_report, difference, words):
    report = dataclasses.replace(example_text_report, budgets=[row(2, 3.10, difference)])
    assert comparison(report).endswith(f": {words}.")


def test_limits_say_what_the_figures_say(example_text_report):
    rows = [row(0, 3.2, None), row(2, 3.1, None), row(8, 3.4, None)]
    report = dataclasses.replace(example_text_report, budgets=rows)
    assert best_row(report) is rows[1]
    told = " ".join(limits(report))
    assert "−0.100 nats per token: better" in told
    assert "best of 3 budgets" in told
    assert "8 steps, beyond the 2 it was trained with, are +0.300 nats" in told
    assert "energy of EBT 0.50; entropy of Transformer++ 0.69" in told
    assert "one seed" in told
    assert "diverged" not in told
    assert "37.5 times as long" in told


def test_limits_do_not_praise_thinking_that_did_nothing(example_text_report):
    rows = [row(0, 3.1, None), row(2, 3.2, None)]
    report = dataclasses.replace(example_text_report, budgets=rows)
    assert "No thinking budget did better than no thinking at all." in limits(report)


def test_a_diverged_budget_is_never_the_best_and_is_told(example_text_report):
    lost = dataclasses.replace(row(4, 1.0, None), nats=Interval(math.nan), diverged=7)
    report = dataclasses.replace(example_text_report, budgets=[lost, row(2, 3.1, None)])
    assert best_row(report).steps == 2
    assert any("at most 7 tokens" in sentence for sentence in limits(report))
    assert check(text_report(report)).faults == []


def test_inputs_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="length"):
        Curve(model="a", split="training", seen=[1], seconds=[1, 2], losses=[1])
    with pytest.raises(ValueError, match="shape"):
        Scores(model="a", signal="energy", unit="1", values=[1.0], losses=[1.0, 2.0])
