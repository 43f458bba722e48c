"""The report's pictures: drawn by Vega-Lite as it is specified, with words and figures for whoever cannot see them."""

import json
import re
from itertools import pairwise
from typing import Any

import altair
import pytest
import vl_convert

from servers.playbook.report.render import render_html
from servers.playbook.report.view import BudgetShown, ReportView
from servers.playbook.report.view_base import Estimate
from servers.playbook.report.view_results import (
    CurvePoint,
    CurveShown,
    DifferenceShown,
    LossPoint,
    SliceShown,
    VersionShown,
)
from servers.playbook.report.view_work import CostShown, EdgeShown, LineageShown, NodeShown, TimeShown
from tests.report_world import (
    OLD,
    POLES,
    REQUESTS,
    make_failures,
    make_history,
    make_predictions,
    make_view,
    parse,
    section,
)

PICTURES = {
    "journey",
    "radar",
    "bars",
    "differences",
    "rows",
    "gate-interval",
    "by-length",
    "by-source",
    "biases",
    "learning",
    "loss",
    "times",
    "lineage",
    *(f"scatter-{k}" for k in range(len(POLES))),
}


def whole_view(**changes: Any) -> ReportView:
    """A cycle of which everything is known."""
    history = [
        cycle.model_copy(
            update={
                "served": Estimate(value=cycle.mae_after or 14.0, ci=(11.0, 15.0)),
                "tried": Estimate(value=cycle.mae_after or 14.0, se=0.4),
                "constant": Estimate(value=17.1, se=0.3),
            }
        )
        for cycle in make_history()
    ]
    errors = {"champion": Estimate(value=13.3, se=0.5), "candidate": Estimate(value=12.1, se=0.5)}
    values: dict[str, Any] = {
        "history": history,
        "this": history[3],
        "differences": [
            DifferenceShown(name=name, difference=-0.5, ci=(-0.9, -0.1)) for name in ("vector_mae", *POLES)
        ],
        "by_length": [SliceShown(name=f"{k} words", n=20, errors=errors) for k in (5, 15, 25)],
        "by_source": [SliceShown(name=name, n=30, errors=errors) for name in ("letters", "a form")],
        "biases": {name: Estimate(value=0.4, se=0.6) for name in POLES},
        "curve": CurveShown(
            model=OLD, points=[CurvePoint(train_rows=k, diagnose=20 - k / 90, left_out=19.0) for k in (200, 400)]
        ),
        "loss": [LossPoint(step=k, loss=2.0 / (k + 1)) for k in range(500)],
        "versions": [
            VersionShown(model=OLD, cycle="cycle_1", train_rows=480, error=errors["champion"], promoted=True),
            VersionShown(model="student-2", cycle="cycle_2", train_rows=540, error=errors["champion"], promoted=False),
        ],
        "times": [TimeShown(step="train", seconds=75.0, calls=3), TimeShown(step="judge", seconds=0.9, calls=1)],
        "lineage": LineageShown(
            columns=["cycle_1", "cycle_2"],
            nodes=[
                NodeShown(id="d", kind="data", column="cycle_1", label="480 rows"),
                NodeShown(id="m", kind="model", column="cycle_1", label="4be1c0", now=True),
                NodeShown(id="r", kind="refused", column="cycle_2", label="2f11aa"),
            ],
            edges=[EdgeShown(start="d", end="m", kind="trained"), EdgeShown(start="d", end="r", kind="trained")],
        ),
    }
    return make_view(**values | changes)


@pytest.fixture(scope="module")
def whole() -> str:
    """The page of `whole_view`."""
    return render_html(whole_view())


def test_every_document_is_vega_lite_as_it_is_specified(monkeypatch: pytest.MonkeyPatch):
    """Ours: the renderer draws misspelt properties as if they were not there; the schema that Altair ships does not."""
    documents: list[dict[str, Any]] = []
    draw = vl_convert.vegalite_to_svg
    monkeypatch.setattr(vl_convert, "vegalite_to_svg", lambda spec: documents.append(spec) or draw(spec))

    render_html(whole_view())

    assert len(documents) == len(PICTURES) + len(REQUESTS)
    # Pictures of one kind have the same layers; one of each kind is enough, because the schema is slow.
    kinds = {json.dumps(document["layer"]): document for document in documents}
    assert len(kinds) < len(documents)
    for document in kinds.values():
        altair.Chart.from_dict({**document, "data": {"values": document["data"]["values"][:1]}})


def test_every_picture_comes_with_its_figures_as_a_table(whole: str):
    """Ours: whoever cannot see a picture, or wants the number, opens what is below it."""
    page = parse(whole)

    figures = {element.get("id", "").removeprefix("figure-"): element for element in page.iter("figure")}
    assert set(figures) == PICTURES
    for name, figure in figures.items():
        (drawing,) = figure.iter("svg")
        (table,) = figure.iter("table")
        assert drawing.get("role") == "img", name
        assert len(list(table.iter("tr"))) > 1 and all(head.get("scope") for head in table.iter("th")), name


def test_intervals_stand_beside_every_mean(whole: str):
    """Ours: a figure without its uncertainty invites belief."""
    page = parse(whole)

    figures = {element.get("id", "").removeprefix("figure-"): element for element in page.iter("figure")}
    for name in ("journey", "bars", "differences", "by-length", "by-source", "biases"):
        cells = [cell.text or "" for cell in figures[name].iter("td")]
        means = [cell for cell in cells if re.fullmatch(r"\W?\d+\.\d+.*", cell)]
        assert means and all(" to " in mean for mean in means), name


def test_colours_are_the_pages_own_so_that_a_picture_follows_the_theme(whole: str):
    """Ours: one drawing for light, dark and paper; and nothing that a strict policy would refuse."""
    page = parse(whole)

    for drawing in page.iter("svg"):
        for shape in drawing.iter():
            assert "style" not in shape.attrib
            for name in ("fill", "stroke"):
                assert shape.get(name, "none") in ("none", "transparent") or shape.attrib[name].startswith("var(--")


def test_a_failure_is_told_from_target_to_answer_to_what_the_candidate_says_and_is_no_proof():
    """Ours: the story of a failure and its remedy, with what came of it, whichever way it went."""
    failures = make_failures(list(POLES), REQUESTS)
    after = [failure.model_copy(update={"after": failure.target}) for failure in failures]
    remedies = [
        remedy.model_copy(update={"trace": failure.trace, "error_before": 40.0, "error_after": error})
        for remedy, failure, error in zip(make_view().remedies, failures, (22.0, 51.0), strict=False)
    ]
    html = render_html(whole_view(failures=after, remedies=remedies))

    story = section(html, "story")
    assert "a story and no proof" in story
    assert "nostalgia: 40.0 → 22.0 points off better" in story and "nostalgia: 40.0 → 51.0 points off worse" in story
    assert "Changed for it: Twelve requests with words for lost places." in story
    assert all(failure.text in story for failure in failures[:2])
    told = {element.get("id") for element in parse(html).iter("li") if element.get("class") == "case"}
    assert told == {f"case-{k + 1}" for k in range(len(failures))}


def test_a_trace_leads_to_the_tracker_where_a_browser_can_open_it_and_else_to_the_rows_own_block():
    """Ours: no dead link: a local trace is a file, so the page itself shows what it holds."""
    address = "https://wandb.ai/us/demo/r/call/7f3c9e"
    failures = make_failures(list(POLES), REQUESTS)
    remedies = make_view().remedies[:2]
    known = [failures[0].model_copy(update={"trace": remedies[0].trace, "trace_url": address})]
    known += [failures[1].model_copy(update={"trace": remedies[1].trace})]
    remedies = [remedies[0].model_copy(update={"trace_url": address}), remedies[1]]
    page = parse(render_html(whole_view(failures=known, remedies=remedies)))

    links = [element.get("href", "") for element in page.iter("a") if "trace" in "".join(element.itertext())]
    assert set(links) == {address, "#case-2"}
    ids = {element.get("id") for element in page.iter()}
    assert all(link.removeprefix("#") in ids for link in links if link.startswith("#"))


def test_a_cycle_that_cost_nothing_says_nothing_and_one_that_cost_says_for_what(whole: str):
    """Ours: money and tokens by what they were for; a fraction of a cent is not nothing."""
    free = section(whole, "costs")
    costs = [
        CostShown(part="brain", what="3 answers of a model", usd=0.0042, input_tokens=4100, output_tokens=210),
        CostShown(part="training", what="train-1 on an a100", usd=1.25),
    ]
    paid = section(
        render_html(whole_view(costs=costs, budget=BudgetShown(limit=10, spent=1.2542, left=8.7458))), "costs"
    )

    assert "Paid in this cycle nothing" in free and "no language model decided" in free
    assert "Paid in this cycle 1.25 USD" in paid and "Tokens of the brain 4,310" in paid
    assert "0.0042 USD" in paid and "Left in the budget 8.75 USD" in paid


def test_thousands_of_rows_are_counted_in_squares_and_the_page_says_so():
    """Ours: points that hide each other show a shape that is not there, and weigh a megabyte."""
    html = render_html(whole_view(predictions=make_predictions(list(POLES), rows=5000)))

    assert "5,000 rows, the darker a square the more" in section(html, "predictions")
    assert len(html) < 600_000


def test_many_cycles_keep_the_opening_and_the_lineage_readable():
    """Ours: forty cycles do not make a picture that nobody can read on a phone."""
    history = [
        make_history()[1].model_copy(update={"cycle": f"cycle_{k}", "served": Estimate(value=20 - k / 10, se=0.3)})
        for k in range(1, 41)
    ]
    names = [cycle.cycle for cycle in history]
    lineage = LineageShown(
        columns=names,
        nodes=[NodeShown(id=name, kind="data", column=name, label=f"{k} rows") for k, name in enumerate(names)],
        edges=[EdgeShown(start=a, end=b, kind="grew") for a, b in pairwise(names)],
    )
    page = parse(render_html(whole_view(history=history, this=history[-1], lineage=lineage)))

    figures = {element.get("id", "").removeprefix("figure-"): element for element in page.iter("figure")}
    widths = {name: float(next(figures[name].iter("svg")).get("width", "0")) for name in ("journey", "lineage")}
    assert widths["journey"] < 460 and widths["lineage"] < 1000
    assert "The newest 8 of 40 cycles." in "".join(figures["lineage"].itertext())
