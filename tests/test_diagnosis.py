"""What is said about data before anything is trained on them."""

import json
import math
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from servers.core.dataset import Card, Example, SplitSizes
from servers.core.diagnosis import Diagnosis, diagnose
from servers.core.diagnosis.signal import SignalFound
from servers.core.diagnosis.verdicts import dimension_diagnosis, whole_verdict
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


def test_copies_that_vote_for_one_another_are_no_signal():
    """Bug: a near copy on either side of the leaving out made labels predictable that say nothing about the text."""
    rows = noise(110)
    near = [row.model_copy(update={"id": f"n{row.id}", "text": f"{row.text} please"}) for row in rows]

    found = found_in([*rows, *near])

    assert found.verdict == "stop" and signal_in(found) == []
    assert max(dimension.r2 for dimension in found.dimensions.values()) < 0.02
    assert found.copies["near_groups"] > 20


def test_a_verdict_of_each_dimension_names_both_errors():
    """Ours: whoever reads one line knows whether the constant is as good."""
    dimensions = found_in(with_energy(noise(210))).dimensions

    energy, warmth = dimensions["energy"], dimensions["warmth"]
    assert (energy.verdict, energy.constant_wins, warmth.verdict) == ("train", False, "stop")
    assert f"errs by {energy.text_model_mae:.2f}, the constant by {energy.constant_mae:.2f}" in energy.words
    assert energy.ceiling_mae is energy.ceiling_r2 is None  # no text repeats


def test_rows_with_equal_texts_tell_what_a_perfect_reader_would_err_by():
    """Ours: labels that scatter by 8 around what the text says leave an error of 8 times the root of 2 / pi."""
    draw = random.Random(4)
    texts = [row for row in noise(150) for _ in range(3)]
    rows = [
        row.model_copy(
            update={"id": str(i), "target": row.target | {"energy": row.target["energy"] / 2 + draw.gauss(25, 8)}}
        )
        for i, row in enumerate(texts)
    ]

    energy, warmth = (found_in(rows, train=300).dimensions[name] for name in ("energy", "warmth"))

    assert energy.ceiling_mae == pytest.approx(8 * (2 / math.pi) ** 0.5, rel=0.1)
    assert energy.ceiling_r2 == pytest.approx(1 - 8**2 / (100**2 / 12 / 4 + 8**2), abs=0.06)
    assert (warmth.ceiling_mae, warmth.ceiling_r2) == (0.0, 1.0)


def test_few_texts_with_labels_that_agree_ask_for_more_and_with_labels_that_do_not_for_other_labels():
    """Ours: seventy rows of thirty texts are few either way; the first thing to mend is named."""
    rows = noise(30)
    copies = [rows[i % 30].model_copy(update={"id": str(i)}) for i in range(70)]
    others = [row.model_copy(update={"target": noise(70, seed=5)[i].target}) for i, row in enumerate(copies)]

    assert found_in(copies).verdict == "collect more"
    found = found_in(others)
    assert found.verdict == "relabel" and "30 distinct texts are few besides" in found.reason


def test_signal_too_weak_to_beat_the_constant_is_not_trained_on():
    """Ours: a gain in squares that costs in the mean is no gain to whoever is served."""
    found = SignalFound("weak", r2=0.04, p_family=0.01, text_model_mae=9.1, constant_mae=9.0)
    dimension = dimension_diagnosis(found, texts=400, ceiling=None)
    silent = dimension_diagnosis(replace(found, signal="none"), texts=400, ceiling=None)

    assert dimension.constant_wins and dimension.verdict == "collect more"
    verdict, reason = whole_verdict({"a": dimension, "b": silent}, texts=400, repeats=0, conflicting_texts=0)
    assert verdict == "collect more" and "a, but 400 distinct texts teach too little" in reason


def test_label_vectors_and_templates_in_common_are_told_and_warned_of_only_where_the_texts_are_alike():
    """Ours: labels may agree by chance; with half of a text as well they were copied."""
    rows = noise(60)
    half = f"{' '.join(rows[50].text.split()[:6])} was all"
    rows[0] = rows[0].model_copy(update={"target": rows[51].target})
    rows[1] = rows[1].model_copy(update={"target": rows[50].target, "text": half})

    found = found_in(rows, train=40)

    assert (found.resemblance["same_labels"], found.resemblance["same_labels_alike"]) == (2, 1)
    assert found.examples["same_labels_alike"] == [rows[1].id]
    assert 0 < found.resemblance["template_overlap"] < 0.1
    assert [note for note in found.warnings if "half of the text" in note]


def test_a_source_that_labels_higher_than_the_others_is_named():
    """Ours: what a file says of a row's source or split is kept, and sources are compared."""
    rows = [
        row.model_copy(
            update={
                "provenance": {"source": "lab" if i % 2 else "crowd"},
                "target": row.target | {"energy": row.target["energy"] / 2 + 50 * (i % 2)},
            }
        )
        for i, row in enumerate(noise(120))
    ]

    found = found_in(rows)

    shift = {source.source: source.shift["energy"] for source in found.source_shift}
    assert shift["source lab"] > 2 and shift["source crowd"] < -2
    assert any("'source lab'" in note and "on energy" in note for note in found.warnings)
    assert not any("warmth" in note for note in found.warnings)
    assert found_in(noise(120)).source_shift == []


def test_texts_of_another_length_or_language_are_counted_and_the_ids_of_a_few_are_given():
    """Ours: a stray row is found by what it is, not by being rare."""
    rows = noise(90)
    rows = [row.model_copy(update={"text": f"we would like the {row.text} for a film"}) for row in rows]
    strays = {
        3: "une chanson douce pour les enfants et avec des violons dans la nuit",
        4: "静かな夜のための、あたたかい曲をお願いします。雨の日の窓辺で聴きたいです",
        5: " ".join(rows[5].text for _ in range(9)),
    }
    for place, text in strays.items():
        rows[place] = rows[place].model_copy(update={"text": text})

    found = found_in(rows)

    assert found.outliers == {"length": 1, "language": 2}
    assert found.examples["language"] == [rows[3].id, rows[4].id] and found.examples["length"] == [rows[5].id]
    assert found_in(noise(90)).outliers == {"length": 0, "language": 0}


def test_data_in_two_usual_languages_have_no_strays():
    """Ours: a language that a third of the rows has is no mistake."""
    rows = [
        row.model_copy(update={"text": f"{'une chanson pour les' if i % 3 else 'a song for the'} {row.text}"})
        for i, row in enumerate(noise(90))
    ]
    assert found_in(rows).outliers["language"] == 0


def test_no_word_of_a_text_stands_in_a_diagnosis():
    """Ours: figures, ids and words of our own."""
    found = found_in([row.model_copy(update={"text": f"{row.text} zanzibar"}) for row in noise(90)])
    assert "zanzibar" not in found.model_dump_json()


def test_too_few_texts_without_signal_ask_for_more_instead_of_stopping():
    """Ours: not found is not the same as not there."""
    assert found_in(noise(80)).verdict == found_in(with_energy(noise(30))).verdict == "collect more"


def test_equal_texts_with_other_labels_ask_for_new_labels():
    """Ours: no reader of the text can explain what its labellers disagree on."""
    rows = noise(160)
    copies = [row.model_copy(update={"text": rows[i % 40].text}) for i, row in enumerate(rows)]

    found = found_in(copies)

    assert found.verdict == "relabel" and found.copies["conflicting_texts"] == 40
    assert found.copies["conflicting_rows"] == 160 and set(found.examples["conflicting_texts"]) < {r.id for r in copies}
    assert {dimension.verdict for dimension in found.dimensions.values()} == {"relabel"}
    assert any(note.startswith("40 texts stand more than once with unequal targets") for note in found.warnings)


def test_what_leaks_from_one_split_to_another_is_counted():
    """Ours: exact copies, near-copies, and what the judge counted against the sealed rows."""
    rows = with_energy(noise(60))
    long = " ".join(WORDS)
    rows[0] = rows[0].model_copy(update={"text": rows[50].text.upper()})
    rows[1] = rows[1].model_copy(update={"text": f"{long} one"})
    rows[51] = rows[51].model_copy(update={"text": f"{long} two"})

    found = found_in(rows, near_sealed=3, train=40)

    assert found.leakage == {
        "train_diagnose_exact": 1,
        "train_diagnose_near": 2,
        "train_gate_exact": 0,
        "train_gate_near": 3,
        "diagnose_gate_near": 0,
    }
    assert "3 of 40 train rows are copies or near copies of sealed rows" in found.warnings
    assert found.examples["train_diagnose_near"] == [rows[0].id, rows[1].id]


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
