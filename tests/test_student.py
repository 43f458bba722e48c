"""The student, its features and its ridge: what it learns, what it refuses, and that its files are always the same."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from servers.core.demo_world.world import DIMENSIONS, World
from servers.core.medians import left_out_median, weighted_median
from servers.core.models import model_digest
from servers.core.ridge import fit_ridge
from servers.core.student import MIN_TEXTS, Student, StudentHparams
from servers.core.text_features import MAX_CHARS, TextFeatures, normalised

ROOT = Path(__file__).parent.parent
WORDS = ["amber", "birch", "cedar", "dune", "ember", "fjord", "grove", "heath", "inlet", "jetty"]


def sentences(n: int, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Texts of three words, and targets (n, 2): the first follows the words, the second does not."""
    rng = np.random.default_rng(seed)
    points = dict(zip(WORDS, np.linspace(-40, 40, len(WORDS)), strict=True))
    picked = [list(rng.choice(WORDS, size=3, replace=False)) for _ in range(n)]
    learnable = np.clip([50 + sum(points[word] for word in words) / 2 for words in picked], 0, 100)
    # A running number keeps the texts distinct.
    texts = [f"{' '.join(words)} {number}" for number, words in enumerate(picked)]
    return texts, np.stack([learnable, rng.uniform(0, 100, n)], axis=1)


def fitted(texts: list[str], targets: np.ndarray, **settings: object) -> Student:
    names = [f"d{k}" for k in range(targets.shape[1])]
    return Student.fit(texts, targets, names, 0, 100, hparams=StudentHparams.model_validate(settings))


def test_it_learns_what_the_text_says_and_answers_the_constant_where_it_says_nothing():
    """Ours: a dimension that does not beat its own constant predicts the constant."""
    texts, targets = sentences(200)
    unseen, truth = sentences(100, seed=1)

    student = fitted(texts, targets)
    errors = np.abs(student.predict(unseen) - truth).mean(axis=0)

    learnable, noise = student.description.dimensions
    assert errors[0] < 4 and not learnable.is_constant
    assert noise.is_constant
    assert student.predict(unseen)[:, 1] == pytest.approx(np.median(targets[:, 1]), abs=1e-3)


def test_the_demo_world_is_learned_well_below_its_constant():
    """Ours: the model of the loop is worth training."""
    splits = World(0).splits()
    train, holdout = splits["train"], splits["holdout"][:200]
    targets = np.array([[row.target[name] for name in DIMENSIONS] for row in train], dtype=float)
    truth = np.array([[row.target[name] for name in DIMENSIONS] for row in holdout], dtype=float)

    student = Student.fit([row.text for row in train], targets, DIMENSIONS, 0, 100)

    error = np.abs(student.predict([row.text for row in holdout]) - truth).mean()
    constant = np.abs(np.median(targets, axis=0) - truth).mean()
    assert error < 0.85 * constant


def test_a_loaded_student_answers_as_the_saved_one_did(tmp_path: Path):
    """Ours: what was measured is what serves."""
    texts, targets = sentences(60)
    student = fitted(texts, targets)

    student.save(tmp_path / "model")

    assert np.array_equal(Student.load(tmp_path / "model").predict(texts), student.predict(texts))


def test_the_same_rows_give_the_same_bytes_whatever_the_number_of_threads(tmp_path: Path):
    """Ours: a digest names a model, so training twice must not give two."""
    code = """
import sys
from pathlib import Path
from servers.core.student import Student
words = "amber birch cedar dune ember fjord".split()
texts = [f"{words[n % 6]} {words[n // 6 % 6]} {words[n // 36 % 6]} {n}" for n in range(150)]
targets = [[n * 7 % 101, n % 6 * 20] for n in range(150)]
Student.fit(texts, targets, ["a", "b"], 0, 100).save(Path(sys.argv[1]))
"""
    limits = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / threads)],
            env=os.environ | dict.fromkeys(limits, threads),
            cwd=ROOT,
        )
        for threads in ("1", "2")
    ]

    assert [process.wait(60) for process in running] == [0, 0]
    assert model_digest(tmp_path / "1") == model_digest(tmp_path / "2")


def test_left_out_errors_are_those_of_fits_that_never_saw_the_row():
    """Ours: the penalty is chosen by exact leave-one-out, with weights and an intercept."""
    rng = np.random.default_rng(0)
    features = sparse.csr_matrix(rng.normal(size=(30, 50)))
    targets, weights = rng.uniform(0, 100, (30, 2)), rng.uniform(0.5, 3, 30)
    penalty = 2.0

    left_out = fit_ridge(features, targets, weights, [penalty], -1e9, 1e9).left_out

    dense = features.toarray()
    centred = dense - weights @ dense / weights.sum()
    absolute = penalty * (weights @ (centred**2).sum(axis=1)) / weights.sum()  # the mean eigenvalue of the kernel
    for row in range(30):
        kept = np.arange(30) != row
        share = weights[kept] / weights.mean()
        mean_x, mean_y = share @ dense[kept] / share.sum(), share @ targets[kept] / share.sum()
        x, y = dense[kept] - mean_x, targets[kept] - mean_y
        slope = np.linalg.solve((x * share[:, None]).T @ x + absolute * np.eye(50), (x * share[:, None]).T @ y)
        assert left_out[row] == pytest.approx((dense[row] - mean_x) @ slope + mean_y)


def test_copies_of_a_text_do_not_vote_for_themselves():
    """Ours: exact copies would make any penalty look too large, and noise look learnable."""
    rng = np.random.default_rng(0)
    texts = [f"{' '.join(rng.choice(WORDS, 4))} {number}" for number in range(40)]
    noise = np.repeat(rng.uniform(0, 100, (40, 1)), 5, axis=0)

    student = fitted([text for text in texts for _ in range(5)], noise)

    assert student.description.distinct_texts == 40
    assert student.description.dimensions[0].is_constant


def test_a_weight_of_two_is_the_same_as_standing_twice():
    """Ours: a replayed row counts double in the fit, and its copy chooses nothing."""
    texts, targets = sentences(40)
    names = ["d0", "d1"]
    weights = np.where(np.arange(40) < 5, 2.0, 1.0)

    weighted = Student.fit(texts, targets, names, 0, 100, weights)
    repeated = Student.fit(texts + texts[:5], np.concatenate([targets, targets[:5]]), names, 0, 100)

    assert np.array_equal(weighted.coefficients, repeated.coefficients)


def test_many_rows_are_solved_without_a_kernel_and_to_the_same_answers():
    """Ours: a dataset of any size trains; only its penalty comes from a sample."""
    texts, targets = sentences(300)
    features = TextFeatures.fit(texts, 1, 0, 1).matrix(texts)
    weights = np.linspace(1, 2, 300)

    exact = fit_ridge(features, targets, weights, [1.0], 0, 100)
    sampled = fit_ridge(features, targets, weights, [1.0], 0, 100, exact_rows=299)

    difference = features @ (exact.coefficients - sampled.coefficients) + exact.intercepts - sampled.intercepts
    assert np.abs(difference).max() < 0.1
    assert len(sampled.left_out) == 299


@pytest.mark.parametrize(
    "texts",
    [
        ["the same text"] * 12,
        [""] * 12,
        ["\ud800 half a surrogate", "\x00\x1c\u2028 control", "🙂 👩‍👩‍👧 日本語のテキスト", "A\u0301 ﬁ Ⅷ ß"] * 3,
        ["word " * 20_000] * 3 + [f"text {number}" for number in range(9)],
    ],
    ids=["one text", "no text", "odd characters", "very long"],
)
def test_any_text_can_be_trained_on_saved_and_asked(texts: list[str], tmp_path: Path):
    """Ours: input nobody prepared gives a result."""
    targets = np.linspace(0, 100, 12)[:, None]

    fitted(texts, targets).save(tmp_path / "model")
    answers = Student.load(tmp_path / "model").predict(["", "\ud800", "x" * 100_000, "never seen", *texts])

    assert np.isfinite(answers).all() and answers.min() >= 0 and answers.max() <= 100


def test_constant_targets_are_answered_exactly():
    """Ours: nothing to learn is no reason to fail."""
    texts, _ = sentences(MIN_TEXTS)

    student = fitted(texts, np.full((MIN_TEXTS, 3), 42.0))

    assert np.array_equal(student.predict(["anything"]), np.full((1, 3), 42.0))


def test_another_scale_gives_the_same_model_in_other_units():
    """Ours: no number in the student is about 0 to 100."""
    texts, targets = sentences(60)

    points = Student.fit(texts, targets, ["a", "b"], 0, 100).predict(texts)
    small = Student.fit(texts, targets / 50 - 1, ["a", "b"], -1, 1).predict(texts)

    assert np.abs((small + 1) * 50 - points).max() < 0.01


def test_text_beyond_the_limit_is_not_read():
    """Ours: one pasted book cannot stall a prediction."""
    assert normalised("x" * MAX_CHARS + "y") == "x" * MAX_CHARS


def test_unknown_words_pull_an_answer_towards_the_average():
    """Ours: one known word in a text of strange ones does not decide alone."""
    texts, targets = sentences(200)
    student = fitted(texts, targets)

    alone, among_strangers = student.predict(["jetty", "jetty qqq vvv xxx zzz kkk"])[:, 0]

    assert 50 < among_strangers < alone


@pytest.mark.parametrize(
    ("rows", "targets", "message"),
    [
        (9, np.zeros((9, 1)), "9 rows to train on; a student needs at least 10"),
        (10, np.full((10, 1), 101.0), "a target is outside 0 to 100"),
        (10, np.full((10, 1), np.nan), "a target is outside 0 to 100"),
        (10, np.zeros((11, 1)), "do not fit 10 texts"),
    ],
)
def test_rows_that_cannot_be_trained_on_are_refused(rows: int, targets: np.ndarray, message: str):
    """Ours: core refuses its input with the value and the bound."""
    with pytest.raises(ValueError, match=message):
        Student.fit([f"text {number}" for number in range(rows)], targets, ["d0"], 0, 100)


def test_a_weight_of_nought_is_refused():
    """Ours: a row that counts nothing should have been left out."""
    with pytest.raises(ValueError, match="weight is not above 0"):
        Student.fit(["a"] * 10, np.zeros((10, 1)), ["d0"], 0, 100, np.zeros(10))


@pytest.mark.parametrize(
    "settings",
    [
        {"word_ngrams": 0, "char_ngrams": 0},
        {"char_ngrams": 1},
        {"min_penalty": 10, "max_penalty": 1},
        {"min_texts": 0},
        {"learning_rate": 1},
    ],
)
def test_hyperparameters_outside_their_range_are_refused(settings: dict[str, float]):
    """Ours: a plan that cannot be trained is refused before a job starts."""
    with pytest.raises(ValueError, match=next(iter(settings))):
        StudentHparams.model_validate(settings)


def test_a_damaged_model_is_named_and_not_served(tmp_path: Path):
    """Ours: half a file is an error with a way out, not a traceback."""
    fitted(*sentences(20)).save(tmp_path)
    weights = tmp_path / "weights.npz"
    weights.write_bytes(weights.read_bytes()[:100])

    with pytest.raises(ValueError, match=r"holds no usable student .* train again, or roll back"):
        Student.load(tmp_path)


def test_medians_follow_their_definitions():
    """Ours: the constant is a median by weight; a left-out one does not see its row."""
    values, weights = np.array([[1.0], [2.0], [3.0], [9.0]]), np.array([1.0, 1.0, 1.0, 3.0])

    assert weighted_median(values, weights) == 6.0  # half of the weight is at 9, half below
    assert weighted_median(values, np.ones(4)) == 2.5
    assert left_out_median(values)[:, 0].tolist() == [3.0, 3.0, 2.0, 2.0]


def test_a_row_is_left_out_together_with_its_near_copies():
    """Ours: exact by blocks of the hat matrix; the same as fitting without the group."""
    random = np.random.default_rng(4)
    features = sparse.csr_matrix(random.random((12, 6)))
    targets, weights = random.normal(50, 10, (12, 2)), random.uniform(1, 3, 12)
    together = np.array([0, 0, 0, 1, 2, 3, 4, 4, 5, 6, 7, 8])

    fit = fit_ridge(features, targets, weights, [0.5], -1e9, 1e9, together)

    share = weights / weights.sum()
    root = np.sqrt(share * len(weights))
    centred = (features.toarray() - share @ features.toarray()) * root[:, None]
    penalty = 0.5 * np.linalg.eigvalsh(centred @ centred.T).clip(0).mean()  # absolute, as all rows set it
    for group in (0, 4, 1):
        rest, held = together != group, together == group
        own = weights[rest] / weights.sum() * len(weights)
        design = np.hstack([np.ones((rest.sum(), 1)), features.toarray()[rest]])
        ridge = np.diag([0.0] + [penalty] * 6)
        beta = np.linalg.solve(design.T @ (own[:, None] * design) + ridge, design.T @ (own[:, None] * targets[rest]))
        expected = np.hstack([np.ones((held.sum(), 1)), features.toarray()[held]]) @ beta
        assert np.allclose(fit.left_out[held], expected, atol=1e-6)


def test_a_dimension_that_only_near_copies_vouch_for_answers_the_constant():
    """Bug: near copies with one label voted for one another, and a text model without signal was served."""
    random = np.random.default_rng(11)
    letters = list("bcdfghklmnprstvz")
    words = ["".join(random.choice(letters, 5)) for _ in range(400)]
    texts, targets = [], []
    for _ in range(30):
        text, label = " ".join(random.choice(words, 14)), random.uniform(0, 100)
        for _ in range(5):
            texts.append(f"{text} {random.choice(words)}")
            targets.append([label])

    student = Student.fit(texts, np.array(targets), ["a"], 0, 100)

    assert student.description.dimensions[0].is_constant
