"""The budget: what is set aside before it is spent, whoever asks, and what the figures come to after a crash."""

import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from agent.desk import StepFailed
from agent.mistral.account import Account
from agent.mistral.service import Answer, Tokens
from agent.settings import MistralSettings
from servers.core.budget import Budget
from servers.core.services import Services
from servers.core.settings import BudgetSettings, Settings
from servers.core.workspace import Workspace

ROUNDS = 40


def budget(folder: Path, usd: float = 10.0) -> Budget:
    return Budget(Workspace(folder), Services(Settings(budget=BudgetSettings(usd=usd))))


def figures(folder: Path, usd: float = 10.0) -> tuple[float, float, float]:
    state = budget(folder, usd).state()
    return state.spent, state.reserved, state.left


def test_what_was_reserved_is_put_right_by_what_was_used(tmp_path: Path):
    """Ours: a reservation holds the most that something can cost; what it took replaces it, once."""
    one = budget(tmp_path)
    assert figures(tmp_path) == (0.0, 0.0, 10.0) and not (tmp_path / "budget.jsonl").exists()

    one.reserve("job-1", 4.0, "a training")
    one.reserve("job-1", 4.0, "a training")
    one.reserve("job-1", 3.0, "a training")
    assert figures(tmp_path) == (0.0, 4.0, 6.0) and one.reservations() == {"job-1": 4.0}
    one.reserve("job-1", 5.0, "a longer training")
    one.reserve("job-2", 5.0, "another")
    assert figures(tmp_path) == (0.0, 10.0, 0.0)

    one.settle("job-1", 1.25)
    one.settle("job-1", 1.25)
    one.release("job-1")
    one.release("job-2")
    one.release("never")
    assert figures(tmp_path) == (1.25, 0.0, 8.75) and one.reservations() == {}
    assert len((tmp_path / "budget.jsonl").read_text().splitlines()) == 5

    one.reserve("job-1", 2.0, "the same once more")
    assert figures(tmp_path) == (1.25, 2.0, 6.75)
    one.settle("job-1", 0.5)
    one.settle("unannounced", 12.0)
    assert figures(tmp_path) == (13.75, 0.0, 0.0)


def test_what_would_exceed_it_is_refused_and_changes_nothing(tmp_path: Path):
    """Ours: the refusal says what is left, and what to do."""
    one = budget(tmp_path)
    one.reserve("a", 7.5, "a training")
    with pytest.raises(
        ValueError,
        match=r"^a teacher can cost up to 2\.51 USD, and 2\.50 of the 10\.00 USD in the budget are left \(0\.",
    ):
        one.reserve("b", 2.51, "a teacher")
    with pytest.raises(ValueError, match=r"raise usd in \[budget\] of etude\.toml"):
        one.reserve("a", 10.01, "a training")
    with pytest.raises(ValueError, match=r"^two teachers can cost up to 10\.50 USD"):
        one.reserve_together({"a": 7.5, "b": 1.5, "c": 1.5}, "two teachers")
    assert one.reservations() == {"a": 7.5}
    one.reserve_together({"a": 7.5, "b": 1.5, "c": 1.0}, "two teachers")

    assert figures(tmp_path) == (0.0, 10.0, 0.0)
    one.reserve("free", 0.0, "a local job")
    with pytest.raises(ValueError, match=r"0\.00 of the 0\.00 USD"):
        budget(tmp_path / "none", usd=0.0).reserve("a", 0.01, "a training")


@pytest.mark.parametrize("usd", [None, float("nan"), float("inf"), -1.0])
def test_an_unknown_cost_means_no(usd: float | None, tmp_path: Path):
    """Ours: nothing is begun whose price nobody knows, and nothing is settled with a guess."""
    for ask in (budget(tmp_path).reserve, budget(tmp_path).settle):
        with pytest.raises(ValueError, match="the cost of a training is not known"):
            ask("a", usd, "a training")

    assert not (tmp_path / "budget.jsonl").exists()


def test_half_a_line_never_happened_and_a_damaged_file_stops_everything(tmp_path: Path):
    """Ours: a crash in the middle of a write costs that write; a file that cannot be counted lets nothing be spent."""
    budget(tmp_path).reserve("a", 1.0, "a training")
    with (tmp_path / "budget.jsonl").open("a") as file:
        file.write('{"at": "2026-01-01T00:00:00Z", "event": "reserve", "key": "b", "usd": 9')
    assert figures(tmp_path) == (0.0, 1.0, 9.0)
    budget(tmp_path).reserve("c", 9.0, "another")
    assert figures(tmp_path) == (0.0, 10.0, 0.0)

    (tmp_path / "budget.jsonl").write_text("{}\nnothing\n")
    with pytest.raises(ValueError):
        budget(tmp_path).reserve("d", 0.1, "a third")


def test_two_processes_never_reserve_the_same_dollar(tmp_path: Path):
    """Ours: a look and the line that follows from it are one; of two that ask at the same moment one is refused."""
    context = multiprocessing.get_context("spawn")
    together, taken = context.Barrier(2), context.Queue()
    racers = [context.Process(target=_race, args=(tmp_path, who, together, taken)) for who in ("left", "right")]
    for racer in racers:
        racer.start()
    total = taken.get(timeout=60) + taken.get(timeout=60)
    for racer in racers:
        racer.join(10)

    assert total == ROUNDS
    assert all(figures(tmp_path / str(number), usd=1.0) == (0.0, 1.0, 0.0) for number in range(ROUNDS))


def _race(folder: Path, who: str, together: Barrier, taken: "multiprocessing.Queue[int]") -> None:
    """Ask for the only dollar of each of many budgets, at the same moment as the other; say how many were had."""
    had = 0
    for number in range(ROUNDS):
        one = budget(folder / str(number), usd=1.0)
        together.wait(timeout=30)
        try:
            one.reserve(who, 1.0, "the only dollar")
            had += 1
        except ValueError:
            pass
    taken.put(had)


def thought(read: int) -> Answer:
    return Answer("words", [], "stop", Tokens(read, 0), counted=True, lost=Tokens(), tries=1, seconds=0.1)


def test_the_brain_spends_from_the_same_budget(tmp_path: Path):
    """Ours: its answers count, an answer that was asked for and never came as well, and each of them once."""
    account = Account(tmp_path, "cycle_1", MistralSettings(), is_own=False)
    account.add(thought(1_000_000))
    account.asking(100_000, Tokens())
    Account(tmp_path, "cycle_2", MistralSettings(), is_own=False).add(thought(500_000))
    assert figures(tmp_path) == (4.8, 0.0, 5.2)

    account.add(thought(90_000))
    assert figures(tmp_path) == (4.77, 0.0, 5.23)
    with pytest.raises(ValueError, match=r"5\.23 of the 10\.00 USD in the budget are left"):
        budget(tmp_path).reserve("a", 5.24, "a training")


def test_an_answer_of_unknown_cost_stops_everything(tmp_path: Path):
    """Ours: what was spent has to be known before more is."""
    file = tmp_path / "loop" / "cycle_1" / "brain.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text('{"answer": "1", "usd": null}\n')

    with pytest.raises(ValueError, match=r"the cost of an answer in .*brain\.jsonl is not known"):
        budget(tmp_path).reserve("a", 0.1, "a training")


def test_the_brain_stops_before_it_would_pass_what_is_left(tmp_path: Path):
    """Ours: what the playbook server says is left holds until it says so anew; answers since then count."""
    settings = MistralSettings(answer_tokens=1_000)  # 9 thousandths of a dollar at most, beside what is read
    account = Account(tmp_path, "cycle_1", settings, is_own=False)
    account.add(thought(100_000))
    account.note_left(0.05)
    account.refuse_more(10_000)
    account.add(thought(10_000))
    with pytest.raises(StepFailed, match=r"0\.020 USD of the budget are left, and one more answer could pass them"):
        account.refuse_more(10_000)

    account.note_left(0.039)
    account.refuse_more(10_000)
    account.note_left(0.0)
    with pytest.raises(StepFailed, match=r"raise usd in \[budget\], or go on with --brain offline"):
        account.asking(1, Tokens())
    own = Account(tmp_path, "cycle_1", settings, is_own=True)
    own.note_left(0.0)
    own.asking(1_000, Tokens())
