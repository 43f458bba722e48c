"""Figures come into a playbook's prose only through claims, and names stay free."""

from pathlib import Path

import pytest

from servers.playbook.number_words import figures_in_words
from tests.playbook_world import World, measured_begin
from tests.test_playbook_claims import claim, lesson
from tests.workshop import call, refusal

pytestmark = pytest.mark.anyio


async def test_a_bare_figure_in_a_text_is_refused_and_names_are_not_figures(tmp_path: Path) -> None:
    """Ours: figures stand in texts only as claims; ids, metrics and checks may hold digits."""
    world = World(tmp_path)
    names = "cycle_1 and eval-0123456789ab, student-0123456789ab's r2_score, p95_inference_latency_ms, begin_small."

    async with world.playbook() as playbook:
        cycle = await measured_begin(world, playbook)
        await call(playbook, "write_playbook", cycle=cycle, remedies=[], lessons=[lesson(names)])
        for text, figure in [
            ("It fell by 13.4 points.", "13.4"),
            ("Half of it: ½.", "½"),
            ("Three in Arabic: ٣.", "٣"),
            ("cycle_1.5 was odd", "cycle_1.5"),
            ("v2student-0123456789ab", "v2student-0123456789ab"),
            ("x²", "x²"),
            ("Roman: Ⅻ.", "Ⅻ."),
            ("mae_raw_energy2 fell", "mae_raw_energy2"),
            ("about twenty percent better", "twenty"),
            ("by two points", "by two points"),
        ]:
            said = await refusal(playbook, "write_playbook", cycle=cycle, remedies=[], lessons=[lesson(text)])
            assert f"the figure '{figure}" in said and "lesson 'A lesson'" in said
        unknown = await refusal(playbook, "write_playbook", cycle=cycle, remedies=[], lessons=[lesson("{claim:b}")])

    assert "no claim 'b'" in unknown


async def test_a_reference_stands_by_itself(tmp_path: Path) -> None:
    """Ours: what is glued to a figure would change its sign, its digits or its unit."""
    world = World(tmp_path)

    async with world.playbook() as playbook:
        cycle = await measured_begin(world, playbook)
        found = world.evaluations.find(cycle, "rule")
        assert found is not None
        rows = claim(f"evaluation:{found.evaluation_id}", "n", 20, "rows")
        for text in ("({claim:a})", "All {claim:a}, no more.", "**{claim:a}**", "n = {claim:a}; “{claim:a}”"):
            await call(playbook, "write_playbook", cycle=cycle, remedies=[], lessons=[lesson(f"So {text}", rows)])
        for text, words in [
            ("It was -{claim:a}.", "'-{claim:a}.' joins a figure"),
            ("It was \u2212{claim:a}.", "joins a figure"),
            ("a thousand{claim:a}", "joins a figure"),
            ("{claim:a}{claim:a}", "joins a figure"),
            ("{claim:a}% of it", "joins a figure"),
            ("{claim:a}k", "joins a figure"),
            ("{{claim:a}}", "joins a figure"),
            ("{claim: a} rows", "'{claim: a} rows' is no reference"),
            ("{CLAIM:A} rows", "is no reference"),
            ("{claim:a}5 rows", "joins a figure"),
            ("...", "has no word"),
        ]:
            said = await refusal(playbook, "write_playbook", cycle=cycle, remedies=[], lessons=[lesson(text, rows)])
            assert words in said, text
        title = await refusal(
            playbook, "write_playbook", cycle=cycle, remedies=[], lessons=[lesson("So.", rows, title="{claim:a}")]
        )

    assert "title of lesson" in title and "claims given: none" in title


def test_figures_in_english_words_are_caught_and_honest_prose_is_not() -> None:
    """Ours: a net with a stated mesh; small numbers of things stay free, and so do other languages."""
    caught = [
        "twenty percent", "ninety-nine", "a hundred rows", "Five per\u00a0cent", "by three points", "two points lower",
        "half a percentage point", "It halved.", "twice as good", "a third of the error", "two-thirds of the error",
        "one and a half minutes", "tenfold", "twelve requests",
    ]  # fmt: skip
    honest = [
        "The two focus dimensions went down, and the first of them most.", "At least three failures were remedied.",
        "One point to keep: rows about rain helped.", "A second reading disagreed with one row in ten.",
        "Hard rows counted double; half of the dimensions have signal.", "Weights often matter; attention does not.",
        "Nothing moved, so think twice before replaying.", "sixteenth-century lutes", "a tone poem",
    ]  # fmt: skip

    assert [text for text in caught if not figures_in_words(text)] == []
    assert [(text, found) for text in honest if (found := figures_in_words(text))] == []
