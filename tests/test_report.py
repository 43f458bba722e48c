"""The report: one file that anybody may open, whatever stands in the data, and that never says more than was shown."""

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from pydantic import ValidationError

from servers.core.task import Dimension, GateRules, Scale
from servers.playbook.report.render import render_html
from servers.playbook.report.view import BackendShown, DatasetShown, PlanShown, ToolCalls
from servers.playbook.report.view_base import CycleShown, Estimate
from servers.playbook.report.view_results import Pairs, PredictionsShown
from servers.playbook.report.view_work import LessonShown, RemedyShown
from tests.report_world import (
    NEW,
    POLES,
    REQUESTS,
    make_arm,
    make_arms,
    make_failures,
    make_gate,
    make_history,
    make_predictions,
    make_view,
    parse,
    promoted_gate,
    section,
    stopped_view,
    words_of,
)


def test_a_promotion_opens_with_the_models_the_gain_and_its_interval():
    """Ours: the verdict stands first, in one sentence, with its numbers."""
    html = render_html(make_view())

    assert "The candidate takes over: its error is 1.28 points lower than the champion's on 210 sealed rows" in section(
        html, "verdict"
    )
    assert "(93.3% interval 0.86 to 1.71)" in section(html, "verdict")


def test_the_sections_stand_in_the_order_of_an_argument_under_one_heading():
    """Ours: verdict, attempt, effect, proof, then the rest; and no heading skips a level."""
    page = parse(render_html(make_view()))

    keys = [element.get("id") for element in page.iter("section")]
    assert keys == [
        "verdict",
        "story",
        "tried",
        "before-after",
        "gate",
        "predictions",
        "errors",
        "learning",
        "failures",
        "data",
        "lessons",
        "costs",
        "history",
        "next",
        "measured",
        "provenance",
    ]
    levels = [int(element.tag[1]) for element in page.iter() if element.tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page.get("lang") == "en"


def test_without_a_promotion_the_page_says_sealed_and_shows_no_figure_of_the_sealed_rows():
    """Ours: a difference shown after each try would teach the loop the sealed rows."""
    this = make_history()[2].model_copy(update={"cycle": "cycle_3"})
    html = render_html(make_view(this=this, gate=make_gate("hold", reason="the sealed rows do not show a gain")))

    assert "The champion stays in service: the sealed rows do not show a gain." in section(html, "verdict")
    assert "The gate sealed" in section(html, "verdict")
    assert "stay sealed until the rows are retired" in section(html, "gate")
    assert "candidate minus champion, points" not in section(html, "gate")


def test_each_check_of_the_gate_is_told_in_words_beside_its_name():
    """Ours: who reads a report need not know what we call a check; who recomputes it must find it."""
    told = section(render_html(make_view()), "gate")

    assert "Its answers are strict JSON json_valid_rate passed" in told
    assert "It saw no sealed row in training no_leakage passed" in told


def test_a_cycle_that_stopped_says_why_and_what_was_not_done():
    """Ours: to stop is a result; each empty section says so in words."""
    html = render_html(stopped_view())

    assert "No verdict was spent: no dimension carries signal." in section(html, "verdict")
    for key in ("tried", "before-after", "gate", "predictions", "failures", "lessons", "history", "next"):
        assert section(html, key)
    assert "Nothing was measured on the diagnose rows." in words_of(html)
    assert "None" not in words_of(html)


def test_a_first_model_is_compared_with_the_constant():
    """Ours: at the beginning the constant is what was in service."""
    arms = [arm for arm in make_arms(list(POLES)) if arm.role != "champion"]
    this = CycleShown(cycle="begin_demo", dataset="demo", verdict="undecided", champion_before="constant")
    gate = make_gate("undecided", reason="12 sealed rows could not have shown a gain").model_copy(
        update={"champion": "constant"}
    )
    html = render_html(make_view(this=this, gate=gate, arms=arms))

    assert "The constant stays in service: 12 sealed rows could not have shown a gain." in section(html, "verdict")
    assert "points, constant to candidate; proves nothing" in section(html, "verdict")


def test_every_figure_on_diagnose_says_that_it_proves_nothing_and_who_made_the_data():
    """Ours: what is embedded, synthetic or sealed is labelled where its figures stand."""
    html = render_html(make_view())

    for key in ("story", "before-after", "predictions", "failures", "lessons"):
        assert "these chose the remedy, they prove nothing" in section(html, key), key
        assert "synthetic data" in section(html, key), key
        assert "embedded model text model on the CPU" in section(html, key), key
    assert "sealed rows only the judge has seen them" in section(html, "gate")
    real = DatasetShown(name="mine", version="0" * 16, train_rows=1, diagnose_rows=1, gate_rows=1, synthetic=False)
    assert "synthetic data" not in words_of(render_html(make_view(dataset=real)))


HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    "</style><script>alert(1)</script>",
    "</svg><svg onload=alert(1)>",
    "```\n</blockquote>\n``` {{ 7 * 7 }} {% raw %} &lt;b&gt; ]]> <!-- --> &#0; %s",
    '" autofocus onfocus="alert(1)',
    "\u202egnp.exe\u2066 \x00\x07\x1b[31m \ud800 \ufeff שלום",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_words_stay_words_wherever_they_stand(hostile: str):
    """Ours: a request, a name, a lesson is data; it makes no element, no attribute, no second page."""
    names = list(POLES)
    fields = {
        "title": hostile,
        "task_title": hostile,
        "warnings": [hostile],
        "failures_of": hostile,
        "failures": [
            make_failures(names, [hostile])[0].model_copy(
                update={"trace": hostile, "prediction": None, "parse_error": hostile}
            )
        ],
        "dimensions": [Dimension(name=name, low=hostile, high=hostile) for name in names],
        "lessons": [LessonShown(title=hostile, text=hostile, sources=[hostile])],
        "remedies": [RemedyShown(trace=hostile, dimension=hostile, change=hostile, text=hostile)],
        "history": [make_history()[3].model_copy(update={"cycle": hostile, "reason": hostile, "focus": [hostile]})],
        "this": make_history()[3].model_copy(update={"cycle": hostile, "champion_after": hostile}),
        "gate": promoted_gate().model_copy(update={"candidate": hostile, "reason": hostile, "champion": hostile}),
        "provenance": {hostile: hostile},
        "backends": [BackendShown(part="model", label=hostile, embedded=True)],
        "ledger": [ToolCalls(tool=hostile, server=hostile, calls=1, seconds=0.1)],
        "next_cycle": [PlanShown(what=hostile, words=hostile)],
        "generated_at": hostile,
    }
    html = render_html(make_view(**fields))

    page = parse(html)
    plain = parse(render_html(make_view(**{key: value for key, value in fields.items() if key == "title"})))
    assert {element.tag for element in page.iter()} <= {element.tag for element in plain.iter()} | {"br"}
    assert not [name for element in page.iter() for name in element.attrib if name.startswith("on")]
    assert "49" not in section(html, "next")
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", html)
    html.encode()


def test_a_megabyte_on_one_line_is_cut():
    """Ours: a huge text costs the page a few hundred characters."""
    huge = "long " * 200_000
    failures = make_failures(list(POLES), [huge])
    lessons = [LessonShown(title=huge, text=huge)]
    html = render_html(make_view(failures=failures, lessons=lessons, remedies=[], gate=make_gate("hold", reason=huge)))

    assert len(html) < 300_000
    assert "…" in section(html, "failures")


class _Loads(HTMLParser):
    """Collects what a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [
            f"{tag} {k}={v}" for k, v in attrs if k in ("src", "srcset", "data", "action", "style", "poster")
        ]
        self.found += [f"{tag} {k}={v}" for k, v in attrs if k.endswith("href") and not (v or "").startswith("#")]
        if tag in ("script", "link", "iframe", "object", "embed", "img", "base", "form"):
            self.found.append(tag)


def test_the_file_loads_nothing_and_runs_nothing():
    """Ours: a report can be mailed, archived and opened offline; its policy would refuse a fetch in any case."""
    html = render_html(make_view(provenance={"run": "https://example.org/run/1"}))
    loads = _Loads()
    loads.feed(html)

    assert loads.found == []
    style = next(parse(html).iter("style")).text or ""
    assert not re.search(r"url\(|@import|https?:", style)
    policy = next(element.get("content") for element in parse(html).iter("meta") if element.get("http-equiv"))
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert policy is not None and policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")


def test_every_picture_is_named_and_described_and_ids_are_unique():
    """Ours: whoever cannot see a picture reads its figures instead."""
    html = render_html(make_view())
    page = parse(html)

    ids = [element.get("id") for element in page.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    pictures = [element for element in page.iter("svg") if element.get("aria-hidden") != "true"]
    assert len(pictures) >= 3 + len(POLES) + len(REQUESTS)
    for picture in pictures:
        title, description = list(picture)[:2]
        assert picture.get("role") == "img"
        assert picture.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
        assert title.text and description.text
    for source in re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL):
        ElementTree.fromstring(source)
    links = {element.get("href") for element in page.iter("a")}
    assert links <= {f"#{name}" for name in ids}


@pytest.mark.parametrize("count", [1, 2, 32])
def test_any_number_of_dimensions_makes_a_page(count: int):
    """Ours: a task has 1 to 32 dimensions, and names of up to 32 letters."""
    names = [f"dimension_with_a_long_name_no_{k:02d}"[:32] for k in range(count)]
    html = render_html(
        make_view(
            dimensions=[Dimension(name=name, low="little", high="much") for name in names],
            arms=make_arms(names),
            predictions=make_predictions(names, rows=2000),
            failures=make_failures(names, REQUESTS),
        )
    )

    page = parse(html)
    titles = [element.text or "" for element in page.iter("title")]
    assert sum(title.endswith("predicted against true") for title in titles) == count
    assert ("Error relative to the constant" in titles) == (count >= 3)
    assert len(html) < 1_500_000


def test_equal_zero_and_one_sided_figures_still_draw():
    """Ours: no scale is divided by nothing."""
    nothing = dict.fromkeys(POLES, 0.0)
    arms = [make_arm("constant", "constant", nothing), make_arm("candidate", NEW, nothing)]
    flat = PredictionsShown(role="candidate", model=NEW, by_dimension={"energy": Pairs(true=[5.0], predicted=[5.0])})
    history = [
        make_history()[0].model_copy(update={"mae_before": 4.0, "mae_after": 4.0, "difference": 0.0, "ci": None})
    ]
    gate = make_gate("promote", reason="equal", difference=0.0, ci=(0.0, 0.0))
    html = render_html(
        make_view(
            arms=arms, predictions=flat, history=history, gate=gate, rules=GateRules(min_gain=1e-9, max_worse=1.5)
        )
    )

    drawn = " ".join(
        value for svg in parse(html).iter("svg") for shape in svg.iter() for value in shape.attrib.values()
    )
    assert not re.search(r"\b(nan|inf)\b", drawn)


def test_errors_on_a_small_scale_keep_their_digits():
    """Ours: on a scale from 0 to 1 two decimals would show every model as equal."""
    arms = [make_arm("constant", "constant", {"energy": 0.1412}), make_arm("candidate", NEW, {"energy": 0.1387})]
    html = render_html(make_view(scale=Scale(low=0, high=1, integers=False), arms=arms))

    assert "0.1412 → 0.1387" in section(html, "verdict")


def test_a_figure_that_is_not_a_number_is_refused():
    """Ours: what is not known is null; NaN never reaches a page."""
    with pytest.raises(ValidationError, match="finite"):
        Estimate(value=float("nan"))


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_words_are_readable_in_both_themes():
    """Ours: WCAG 2.2 AA, 4.5 to 1 for every colour that writes, on every ground it is written on."""
    style = next(parse(render_html(stopped_view())).iter("style")).text or ""
    themes = [
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{(.*?)\}", style, re.S)
    ]
    light, dark = themes[0], themes[0] | themes[1]

    for theme in (light, dark):
        pairs = [
            (ink, ground)
            for ink in ("ink", "soft", "candidate", "champion", "constant", "rule", "seal", "warn")
            for ground in ("paper", "card")
        ]
        pairs += [
            ("warn", "warn-wash"),
            ("seal", "seal-wash"),
            ("synthetic", "synthetic-wash"),
            ("candidate", "candidate-wash"),
            ("soft", "faint"),
            ("ink", "candidate-wash"),
            ("soft", "candidate-wash"),
        ]
        for ink, ground in pairs:
            high, low = sorted((_luminance(theme[ink]), _luminance(theme[ground])), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, ground)


def test_the_same_view_makes_the_same_file(tmp_path: Path):
    """Ours: a report can be rebuilt and compared."""
    first, second = tmp_path / "first.html", tmp_path / "second.html"
    first.write_text(render_html(make_view()), encoding="utf-8")
    second.write_text(render_html(make_view()), encoding="utf-8")

    assert first.read_bytes() == second.read_bytes()
