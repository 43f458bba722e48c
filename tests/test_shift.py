"""New rows as a whole: which shift is the purpose, and which is refused."""

import pytest

from servers.augment.shift import shift_of
from servers.core.dataset import Example
from servers.core.demo_world.world import BLIND, DIMENSIONS, Request, World
from servers.core.task import load_task

KOTONE = load_task("kotone")
WORLD = World(0)


def examples(requests: list[Request]) -> list[Example]:
    return [
        Example(id=f"r{k}", text=r.text, target={n: float(v) for n, v in r.target.items()}, source="demo-world")
        for k, r in enumerate(requests)
    ]


TRAIN, DIAGNOSE = (examples(WORLD.splits()[name]) for name in ("train", "diagnose"))
FOCUSED = examples(WORLD.teach(90, BLIND, 3, careless_share=0))


def refused(rows: list[Example], focus: tuple[str, ...] = BLIND) -> str | None:
    return shift_of(rows, TRAIN, DIAGNOSE, KOTONE).refusal(focus, len(rows))


def labelled(**target: float) -> list[Example]:
    return [row.model_copy(update={"target": row.target | target}) for row in FOCUSED]


@pytest.mark.parametrize("focus", [BLIND, (), *((name,) for name in DIMENSIONS)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_rows_of_a_good_teacher_pass_whatever_they_aim_at(focus: tuple[str, ...], seed: int):
    """Ours: moving towards what diagnose asks for is the purpose of an aim, and no shift to refuse."""
    assert refused(examples(WORLD.teach(90, focus, seed, careless_share=0)), focus) is None


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (labelled(**dict.fromkeys(DIMENSIONS, 50.0)), "labels for energy"),
        (labelled(nostalgia=90.0), "labels for nostalgia"),
        (labelled(energy=90.0), "labels for energy"),
        ([row.model_copy(update={"text": f"{row.text} " * 5}) for row in FOCUSED], "times as long"),
        ([row.model_copy(update={"text": row.text[:9]}) for row in FOCUSED], "times as long"),
        ([row.model_copy(update={"text": row.text[::-1]}) for row in FOCUSED], "words"),
    ],
)
def test_rows_that_look_like_nothing_that_is_there_are_refused_with_the_figure(rows: list[Example], words: str):
    """Ours: one label everywhere, a label pinned high, texts five times as long or cut short, words nobody says."""
    said = refused(rows)

    assert said is not None and words in said


def test_a_careful_row_alone_shifts_nothing():
    """Ours: the bound leaves room for chance, and a handful of rows is chance."""
    assert refused(FOCUSED[:2]) is None


def test_one_label_everywhere_is_refused_on_the_only_dimension_there_is():
    """Ours: also where every dimension is aimed at, and the label is the median."""
    task = KOTONE.model_copy(update={"dimensions": KOTONE.dimensions[:1]})
    middle = sorted(row.target["energy"] for row in TRAIN)[len(TRAIN) // 2]

    assert shift_of(labelled(energy=middle), TRAIN, DIAGNOSE, task).refusal(["energy"], 90) is not None


def test_labels_that_never_differed_may_go_on_so():
    """Ours: a dimension that is the same everywhere has no spread to measure by, and that is no error."""
    still = [row.model_copy(update={"target": row.target | {"energy": 50.0}}) for row in (*TRAIN, *DIAGNOSE)]

    found = shift_of(labelled(energy=50.0), still[:280], still[280:], KOTONE)

    assert found.labels["energy"] == 0 and found.refusal(BLIND, 90) is None
