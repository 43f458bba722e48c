"""Recombination: whose clauses, whose labels, and when it is not asked at all."""

from collections.abc import Sequence

import numpy as np

from servers.augment.aim import Aim, ThinRange, ThinWord
from servers.augment.recombination import RecombinationTeacher
from servers.augment.trust import trust_in_recombination
from servers.core.dataset import Example
from servers.core.demo_world.world import World
from servers.core.task import load_task
from tests.doubles.clauses import clause_rows, clause_task, meaning

TASK = clause_task()
ROWS = clause_rows(120, 1)
ANYTHING = Aim(focus_dimensions=[])


def far(value: float) -> dict[str, float]:
    return dict.fromkeys(TASK.names, value)


def test_it_writes_only_clauses_that_were_there_and_the_same_ones_again():
    """Ours: a weak teacher that invents nothing, the same for the same arguments."""
    teacher = RecombinationTeacher(TASK, None)

    drafts = teacher.write(20, ANYTHING, 7, ROWS)

    assert drafts == teacher.write(20, ANYTHING, 7, ROWS) != teacher.write(20, ANYTHING, 8, ROWS)
    by_id = {row.id: row.text for row in ROWS}
    for made in drafts:
        sources = ", ".join(by_id[made.made_from[part]] for part in ("first", "second"))
        assert set(made.text.split(", ")) <= set(sources.split(", "))


def test_its_labels_are_read_anew_and_not_the_mean_of_the_two_rows():
    """Ours: the mean of two labels says nothing about the clauses that were left out; it made students worse."""
    drafts = RecombinationTeacher(TASK, None).write(60, ANYTHING, 7, ROWS)
    truth = np.array([meaning(made.text) for made in drafts])
    targets = {row.id: [row.target[name] for name in TASK.names] for row in ROWS}

    labels = np.array([list(made.label(TASK.scale).values()) for made in drafts])
    means = np.array([np.mean([targets[i] for i in made.made_from.values()], axis=0) for made in drafts])

    assert np.abs(labels - truth).mean() < 0.7 * np.abs(means - truth).mean()


def test_of_its_two_readings_one_does_not_know_the_rows_that_the_clauses_are_from():
    """Ours: a label that rests on the noise of one row is found out by a reading without it."""
    odd = [
        Example(id=f"odd{k}", text=f"with a zebra, with mud {k}, with a zebra", target=far(100.0), source="import")
        for k in range(3)
    ]
    plain = [row.model_copy(update={"target": far(50.0)}) for row in ROWS[:100]]

    drafts = RecombinationTeacher(TASK, None).write(80, ANYTHING, 3, [*plain, *odd])

    apart: dict[bool, list[float]] = {True: [], False: []}
    for made in drafts:
        first, second = (reading["height"] for reading in made.readings)
        apart["odd" in " ".join(made.made_from.values())].append(abs(first - second))
    assert min(apart[True]) > 10 > max(apart[False])


def test_another_reader_reads_what_it_wrote():
    """Ours: a label which the champion cannot believe is dropped; what the champion cannot read is no objection."""

    def believer(texts: Sequence[str]) -> list[dict[str, float] | None]:
        return [far(100.0 if k % 2 else 0.0) if k < 10 else None for k in range(len(texts))]

    drafts = RecombinationTeacher(TASK, believer).write(20, ANYTHING, 1, ROWS)

    assert [made.check for made in drafts] == believer([made.text for made in drafts])
    assert not any(made.agrees(TASK.scale) for made in drafts[:10]) and drafts[10].agrees(TASK.scale)


def test_an_aim_begins_rows_where_a_dimension_is_far_out_or_train_is_thin():
    """Ours: recombination cannot write new words, but it can say the rare ones more often."""
    values = sorted(row.target["height"] for row in ROWS)
    by_id = {row.id: row for row in ROWS}
    rare = ROWS[7].text.split(", ")[0].removeprefix("with ").split()[0]
    thin = ThinRange(dimension="height", low=values[60], high=values[62], train_share=0, diagnose_share=1)
    aim = Aim(focus_dimensions=["height"], thin_words=[ThinWord(word=rare, worst_rows=2, train_rows=1)])

    def firsts(aim: Aim) -> list[Example]:
        return [by_id[made.made_from["first"]] for made in RecombinationTeacher(TASK, None).write(60, aim, 1, ROWS)]

    outer = firsts(Aim(focus_dimensions=["height"]))
    worded, ranged = firsts(aim), firsts(Aim(focus_dimensions=["height"], thin_ranges=[thin]))

    assert all(not values[40] < row.target["height"] < values[79] for row in outer)
    assert sum(rare in row.text.split() for row in worded) > 20 > sum(rare in row.text.split() for row in outer)
    assert sum(thin.holds(row.target["height"]) for row in ranged) > 20


def test_what_a_teacher_wrote_is_not_taken_apart_again():
    """Ours: a label that was estimated once is no evidence for the next."""
    taught = [row.model_copy(update={"id": f"n{row.id}", "source": "teacher:recombination"}) for row in ROWS[:60]]

    drafts = RecombinationTeacher(TASK, None).write(40, ANYTHING, 1, [*taught, *ROWS[60:]])

    assert {i for made in drafts for i in made.made_from.values()} <= {row.id for row in ROWS[60:]}


def test_a_handful_of_rows_makes_none_and_no_error():
    """Ours: degenerate data make no rows."""
    assert RecombinationTeacher(TASK, None).write(5, ANYTHING, 1, ROWS[:4]) == []
    assert "too few" in (trust_in_recombination(TASK, ROWS[:30], ANYTHING, 10, 1, 0.8).distrust or "")


def test_it_is_trusted_where_clauses_add_up():
    """Ours: the check is no constant no; here a student is better for recombined rows, and the check sees it."""
    found = trust_in_recombination(TASK, clause_rows(160, 2), ANYTHING, 200, 3, 0.8)

    assert found.distrust is None
    assert found.teacher_error and found.student_error and found.teacher_error < 0.6 * found.student_error
    assert found.difference is not None and found.difference < 0 and found.p_better is not None
    assert found.p_better <= 0.05


def test_it_is_not_trusted_where_labels_do_not_follow_from_clauses():
    """Ours: labels that somebody shuffled are read by nobody, and the words say so with figures."""
    rows = clause_rows(120, 2)
    order = np.random.default_rng(1).permutation(len(rows))
    shuffled = [row.model_copy(update={"target": rows[k].target}) for row, k in zip(rows, order, strict=True)]

    found = trust_in_recombination(TASK, shuffled, ANYTHING, 60, 3, 0.8)

    assert found.distrust is not None and "points" in found.distrust


def test_the_demo_taken_as_an_import_is_not_trusted():
    """Ours: its student reads better than clauses that add up do; measured in decision 13."""
    rows = [
        Example(id=f"r{k}", text=r.text, target={n: float(v) for n, v in r.target.items()}, source="import")
        for k, r in enumerate(World(1).splits()["train"])
    ]

    found = trust_in_recombination(load_task("kotone"), rows, ANYTHING, 100, 1, 0.8)

    assert found.distrust is not None and "no better than the student" in found.distrust
