"""The second example: hikers' reports, rated in other dimensions, on another scale, in another layout."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.bag_of_words import constant_errors, row_errors

TRAILS = Path(__file__).parents[1] / "examples" / "trails"
DIMENSIONS = ("steepness", "exposure", "mud", "crowding")
ROWS = [json.loads(line) for line in (TRAILS / "reports.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_generator_writes_the_committed_file_again(tmp_path):
    """Ours: the data are what the generator says they are, byte for byte."""
    output = tmp_path / "reports.jsonl"

    subprocess.run([sys.executable, str(TRAILS / "make_reports.py"), str(output)], check=True)

    assert output.read_bytes() == (TRAILS / "reports.jsonl").read_bytes()


def test_every_report_is_rated_from_0_to_10_in_four_dimensions():
    """Ours: 700 rows of one shape, no text twice."""
    assert len(ROWS) == len({row["report"] for row in ROWS}) == len({row["id"] for row in ROWS}) == 700
    for row in ROWS:
        assert set(row) == {"id", "report", "ratings"}
        assert tuple(row["ratings"]) == DIMENSIONS
        assert all(type(x) is float and 0 <= x <= 10 and x == round(x, 1) for x in row["ratings"].values())


def test_a_report_reads_as_sentences():
    """Ours: no slot is left open, and every sentence begins and ends as one."""
    for row in ROWS:
        assert not set("{}") & set(row["report"])
        assert row["report"][0].isupper() and row["report"][-1] == "."
        assert "  " not in row["report"] and all(part[0].isupper() for part in row["report"].split(". "))


def test_the_text_tells_much_of_every_rating_and_least_of_crowding():
    """Ours: every dimension can be learned here, so that a loop that finds no signal has a fault of its own."""
    texts = [row["report"] for row in ROWS]
    ratings = np.array([[row["ratings"][d] for d in DIMENSIONS] for row in ROWS])

    errors = row_errors(texts[:450], ratings[:450], texts[450:], ratings[450:]).mean(axis=0)
    constant = constant_errors(ratings[:450], ratings[450:]).mean(axis=0)

    assert 0.55 < errors.mean() / constant.mean() < 0.8
    assert (errors / constant).max() < 0.85
    assert DIMENSIONS[int(errors.argmax())] == "crowding"
