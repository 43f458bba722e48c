"""What is said about data before anything is trained on them."""

import json
import random
from collections.abc import Sequence

import pytest

from servers.core.dataset import Card, Example, SplitSizes
from servers.core.diagnosis import Diagnosis, diagnose
from servers.core.task import load_task

KOTONE = load_task("kotone")
OTHERS = KOTONE.names[1:]
# fmt: off
WORDS = [
    "river", "stone", "lamp", "window", "paper", "engine", "garden", "mirror", "ladder", "blanket", "copper", "velvet",
    "thunder", "orchard", "needle",
]
# fmt: on
CARD = Card(
    name="mine",
    fingerprint="0" * 16,
    parent=None,
    root="0" * 16,
    task=KOTONE.name,
    created_at="2020-01-01T00:00:00.000Z",
    rows=SplitSizes(train=0, diagnose=0, gate=0),
    diagnose_fingerprint="1" * 16,
    gate_fingerprint="2" * 16,
    recipe={},
    synthetic=False,
    near_copy_threshold=0.8,
)


def signal_in(found: Diagnosis) -> list[str]:
    """The dimensions that the text says something about."""
    return [name for name, dimension in found.dimensions.items() if dimension.signal != "none"]


def noise(n: int, seed: int = 1) -> list[Example]:
    """Different texts whose targets were drawn without looking at them."""
    draw = random.Random(seed)
    return [
        Example(
            id=f"{seed}-{i}",
            text=" ".join(draw.choices(WORDS, k=6)) + f" {draw.randrange(10**6)}",
            target={name: float(draw.randint(0, 100)) for name in KOTONE.names},
            source="import",
        )
        for i in range(n)
    ]


def with_energy(rows: list[Example]) -> list[Example]:
    """The same, where the text says in a word how high the energy is."""
    found = []
    for number, row in enumerate(rows):
        word, value = (("loud", 80.0), ("quiet", 20.0))[number % 2]
        target = row.target | {"energy": value + row.target["energy"] / 10}
        found.append(row.model_copy(update={"text": f"{word} {row.text}", "target": target}))
    return found


def found_in(rows: Sequence[Example], near_sealed: int = 0, train: int | None = None) -> Diagnosis:
    """The diagnosis of rows of which the first are train, the rest diagnose."""
    cut = 2 * len(rows) // 3 if train is None else train
    return diagnose(CARD, KOTONE, rows[:cut], rows[cut:], near_sealed)


def test_signal_is_found_where_the_text_has_it_and_nowhere_else():
    """Ours: a loop aims only at what the text can teach."""
    found = found_in(with_energy(noise(90)))

    assert found.verdict == "train" and signal_in(found) == ["energy"]
    energy = found.dimensions["energy"]
    assert energy.signal == "learnable" and energy.p_family <= 0.05 and energy.ratio is not None and energy.ratio < 0.5
    assert "energy" in found.reason and all(name in found.reason for name in OTHERS)


def test_labels_made_from_something_else_than_the_text_stop_the_loop():
    """Ours: the honest move is to say so, before money is spent."""
    found = found_in(noise(210))

    assert found.verdict == "stop" and signal_in(found) == []


def test_too_few_texts_without_signal_ask_for_more_instead_of_stopping():
    """Ours: not found is not the same as not there."""
    assert found_in(noise(80)).verdict == found_in(with_energy(noise(30))).verdict == "collect more"


def test_equal_texts_with_other_labels_ask_for_new_labels():
    """Ours: no reader of the text can explain what its labellers disagree on."""
    rows = noise(160)
    copies = [row.model_copy(update={"text": rows[i % 40].text}) for i, row in enumerate(rows)]

    found = found_in(copies)

    assert found.verdict == "relabel" and found.copies["conflicting_texts"] == 40
    assert "40 texts stand more than once with unequal targets" in found.warnings


def test_what_leaks_from_one_split_to_another_is_counted():
    """Ours: exact copies, near-copies, and what the judge counted against the sealed rows."""
    rows = with_energy(noise(60))
    long = " ".join(WORDS)
    rows[0] = rows[0].model_copy(update={"text": rows[50].text.upper()})
    rows[1] = rows[1].model_copy(update={"text": f"{long} one"})
    rows[51] = rows[51].model_copy(update={"text": f"{long} two"})

    found = found_in(rows, near_sealed=3, train=40)

    assert found.leakage == {"train_diagnose_exact": 1, "train_diagnose_near": 2, "train_gate_near": 3}
    assert "3 training rows: train_gate_near" in found.warnings


def test_a_shift_of_the_labels_is_told_in_standard_deviations():
    """Ours: train rows labelled higher than the diagnose rows."""
    rows = noise(60)
    shifted = [row.model_copy(update={"target": row.target | {"energy": 100.0}}) for row in rows[:40]] + rows[40:]

    assert found_in(shifted).label_shift["energy"] > 1 > abs(found_in(rows).label_shift["warmth"])


def test_rows_that_a_teacher_wrote_are_no_evidence_of_signal():
    """Ours: they were made to have it."""
    teacher = [r.model_copy(update={"source": "teacher:recombination", "id": f"t{r.id}"}) for r in noise(90, seed=9)]
    rows = noise(60)

    found = diagnose(CARD, KOTONE, [*rows[:40], *with_energy(teacher)], rows[40:], 0)

    assert signal_in(found) == [] and found.rows == {"train": 130, "diagnose": 20, "distinct_texts": 60}


def test_targets_that_are_all_equal_have_no_signal_no_ratio_and_no_shift():
    """Bug: the mean of equal decimals can miss them by a rounding error, and a shift was counted in those."""
    rows = [row.model_copy(update={"target": row.target | {"energy": 33.3}}) for row in noise(54)]

    found = found_in(rows, train=44)

    energy = found.dimensions["energy"]
    assert (energy.signal, energy.r2, energy.ratio, found.label_shift["energy"]) == ("none", 0.0, None, 0.0)


def test_a_single_text_gives_figures_that_can_be_written_down():
    """Bug: the median of no other rows was no number, which no JSON document takes."""
    (row,) = noise(1)

    found = found_in([row, row.model_copy(update={"id": "other"})], train=1)

    assert found.verdict == "collect more"
    assert json.dumps(found.model_dump(mode="json"), allow_nan=False)


def test_a_split_without_rows_is_refused():
    """Ours: one clear error instead of figures over nothing."""
    with pytest.raises(ValueError, match="0 train and 2 diagnose rows"):
        found_in(noise(2), train=0)
