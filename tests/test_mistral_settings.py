"""Where the language model is, which it is, and what it may take for one cycle."""

import re
from pathlib import Path
from typing import Any

import pytest

from agent.desk import StepFailed
from agent.mistral.access import LA_PLATEFORME, Access, access_from
from agent.mistral.account import Account
from agent.mistral.service import Answer, Tokens, ToolCall
from agent.settings import MistralSettings, load_settings
from agent.spent import Spent
from tests.doubles.brains import Careful
from tests.doubles.house import rooms
from tests.doubles.house_world import World
from tests.doubles.mistral import MistralDouble
from tests.mistral_world import KEY, brain_at, rows, run


@pytest.mark.parametrize(
    ("environment", "access"),
    [
        ({}, None),
        ({"MISTRAL_API_KEY": "", "MISTRAL_SERVER_URL": ""}, None),
        ({"MISTRAL_API_KEY": "k"}, Access(LA_PLATEFORME, "k")),
        ({"MISTRAL_SERVER_URL": "http://localhost:8000"}, Access("http://localhost:8000", None)),
        (
            {"MISTRAL_SERVER_URL": "http://localhost:8000/v1/", "MISTRAL_API_KEY": "k"},
            Access("http://localhost:8000", "k"),
        ),
        ({"MISTRAL_SERVER_URL": "https://gpu.example/models/v1"}, Access("https://gpu.example/models", None)),
    ],
)
def test_the_environment_says_where_the_model_is(environment: dict[str, str], access: Access | None):
    """Ours: a key alone is Mistral's own server; an address stands as servers print it, with /v1 or without."""
    assert access_from(environment) == access


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host", "http://", "here", "http:///v1"])
def test_an_address_that_is_none_is_refused(url: str):
    """Ours: the line names the variable and shows a good one."""
    with pytest.raises(ValueError, match=r"^MISTRAL_SERVER_URL is .*; give one like http://localhost:8000$"):
        access_from({"MISTRAL_SERVER_URL": url})


@pytest.mark.parametrize("url", ["https://me:secret@host", "https://secret@host/v1", "http://host/v1?key=secret"])
def test_an_address_that_holds_a_secret_is_refused_without_showing_it(url: str):
    """Ours: the address is shown on the screen and in errors."""
    with pytest.raises(ValueError, match="put the key into MISTRAL_API_KEY") as refused:
        access_from({"MISTRAL_SERVER_URL": url})
    assert "secret@" not in str(refused.value) and "=secret" not in str(refused.value)


def test_the_key_is_in_no_repr():
    """Ours: it ends up in logs and tracebacks."""
    assert KEY not in repr(Access(LA_PLATEFORME, KEY))


@pytest.mark.parametrize(
    ("url", "key", "is_own"),
    [
        (LA_PLATEFORME, KEY, False),
        (LA_PLATEFORME, None, False),
        ("https://eu.mistral.ai", KEY, False),
        ("http://127.0.0.1:8000", KEY, True),
        ("http://192.168.1.7:8000", KEY, True),
        ("http://gpu-box:8000", KEY, True),
        ("https://vllm.example.org", None, True),
        ("https://router.example.org/api", KEY, False),
    ],
)
def test_a_server_elsewhere_that_takes_a_key_may_send_a_bill(url: str, key: str | None, is_own: bool):
    """Ours: a cap in USD has to hold for whoever sells the model; one's own server is free unless prices are set."""
    assert Access(url, key).is_own == is_own


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("modell = 'x'", "unknown key 'agent.mistral.modell'; known: model, context_tokens, answer_tokens, timeout_s"),
        ("context_tokens = 4000", "agent.mistral.context_tokens: input should be greater than or equal to 8000"),
        ("timeout_s = 0", "agent.mistral.timeout_s: input should be greater than 0, not 0"),
        ("tools = ['get_cycle']", "agent.mistral.tools: input should be a valid dictionary"),
        ("answer_tokens = 9000", "answer_tokens takes more than half of context_tokens"),
        ("api_key = 'secret'", "unknown key 'agent.mistral.api_key'"),
    ],
)
def test_a_mistake_in_the_models_table_is_refused_by_name(tmp_path: Path, text: str, said: str):
    """Ours: as everywhere in the file; a key stands in the environment, never here."""
    (tmp_path / "etude.toml").write_text(f"[agent.mistral]\n{text}\n")

    with pytest.raises(ValueError, match=re.escape(said)):
        load_settings(tmp_path / "etude.toml", {}, {})


def test_the_flag_for_the_model_wins_over_the_file(tmp_path: Path):
    """Ours: defaults, then the file, then flags; the rest of the table stays."""
    (tmp_path / "etude.toml").write_text("[agent.mistral]\nmodel = 'ours'\nmax_answers = 7\n")

    def model(config: str, flag: str | None) -> tuple[str, int]:
        table = load_settings(tmp_path / config, {}, {}, flag).agent.mistral
        return table.model, table.max_answers

    assert model("etude.toml", None) == ("ours", 7) and model("etude.toml", "theirs") == ("theirs", 7)
    (tmp_path / "none.toml").write_text("")
    assert model("none.toml", "theirs") == ("theirs", 150)
    assert model("none.toml", None)[0] == "mistral-medium-latest"


def account(folder: Path, is_own: bool = False, **settings: Any) -> Account:
    return Account(folder, "cycle_1", MistralSettings(**settings), is_own)


def answer(read: int, written: int, lost: Tokens | None = None) -> Answer:
    calls = [ToolCall("a", "playbook__get_\u202ecycle" + "x" * 100, "{}")]
    tokens = Tokens(read, written)
    return Answer("words", calls, "tool_calls", tokens, counted=True, lost=lost or Tokens(), tries=1, seconds=0.5)


def test_prices_come_from_the_settings_and_are_assumed_dear_for_mistrals_server(tmp_path: Path):
    """Ours: a cap has to hold also where nobody looked up the price."""
    million = answer(1_000_000, 1_000_000)
    for name, is_own, settings, usd in [
        ("mistral", False, {}, 12.0),
        ("own", True, {}, 0.0),
        ("set", False, {"usd_per_million_input": 0.4, "usd_per_million_output": 2.0}, 2.4),
        ("half", True, {"usd_per_million_output": 2.0}, 2.0),
    ]:
        noted = account(tmp_path / name, is_own, **settings)
        noted.add(million)
        assert noted.spent == Spent(answers=1, input_tokens=1_000_000, output_tokens=1_000_000, usd=usd), name


def test_an_answer_is_noted_with_what_was_lost_before_it_and_survives_a_crash(tmp_path: Path):
    """Ours: a line an answer; what a crash cut off is left out."""
    assert account(tmp_path).spent is None
    account(tmp_path).add(answer(100, 10, Tokens(50, 5)))
    account(tmp_path).add_lost(Tokens())
    account(tmp_path).add_lost(Tokens(7, 3))
    file = tmp_path / "loop" / "cycle_1" / "brain.jsonl"
    with file.open("a") as torn:
        torn.write('{"input_tokens": 1000')

    assert account(tmp_path).spent == Spent(2, 157, 18, pytest.approx((157 * 3 + 18 * 9) / 1e6))
    account(tmp_path).add(answer(1, 1))
    first = rows(file)[0]
    assert len(rows(file)) == 4 and account(tmp_path).spent.answers == 3
    assert set(first) == {
        "answer", "at", "model", "input_tokens", "output_tokens", "usd", "counted", "calls", "finish", "tries",
        "seconds",
    }  # fmt: skip
    assert first["calls"][0].startswith("playbook__get_cyclexx") and len(first["calls"][0]) < 80


def test_an_answer_that_was_asked_for_and_never_came_counts(tmp_path: Path):
    """Ours: a run that is killed while the model thinks has paid for it; nothing counts twice when the answer comes."""
    killed = account(tmp_path)
    killed.asking(100, Tokens())
    killed.asking(100, Tokens(30, 3))
    assert account(tmp_path).spent == Spent(1, 130, 3, pytest.approx((130 * 3 + 3 * 9) / 1e6))

    went_on = account(tmp_path, max_answers=2)
    went_on.asking(100, Tokens())
    went_on.add(answer(90, 9))

    assert account(tmp_path).spent == Spent(2, 220, 12, pytest.approx((220 * 3 + 12 * 9) / 1e6))
    with pytest.raises(
        StepFailed, match="cycle_1 has taken 2 answers, and one more answer could pass max_answers = 2;"
    ):
        went_on.asking(100, Tokens())


@pytest.mark.parametrize(
    ("cap", "so_far"),
    [
        ({"max_answers": 3}, "3 answers"),
        ({"max_tokens": 3 * 1_100 + 5_000 + 999}, "3300 tokens"),
        ({"max_usd": 0.0117 + 0.024 - 0.0001}, "0.012 USD"),
    ],
)
def test_a_cap_is_never_passed(tmp_path: Path, cap: dict[str, Any], so_far: str):
    """Ours: what an answer may take counts before it is asked for, over all runs of the cycle."""
    settings = {"answer_tokens": 1_000, **cap}
    for _ in range(3):
        account(tmp_path, **settings).refuse_more(5_000)
        account(tmp_path, **settings).add(answer(1_000, 100))

    ((name, limit),) = cap.items()
    with pytest.raises(
        StepFailed, match=f"cycle_1 has taken {so_far}, and one more answer could pass {name} = {limit:g};"
    ):
        account(tmp_path, **settings).refuse_more(5_000)
    account(tmp_path, **settings | {name: 2 * limit}).refuse_more(5_000)
    Account(tmp_path, "cycle_2", MistralSettings(**settings), False).refuse_more(5_000)


def test_a_run_of_a_cycle_has_its_time(tmp_path: Path):
    """Ours: also while it waits for a training."""
    with pytest.raises(StepFailed, match=r"s in this run, and one more answer could pass max_seconds = 1e-09; what is"):
        account(tmp_path, max_seconds=1e-9).refuse_longer()
    with pytest.raises(StepFailed, match="max_seconds"):
        account(tmp_path, max_seconds=1e-9).refuse_more(1)
    account(tmp_path).refuse_longer()


@pytest.mark.anyio
async def test_a_run_ends_at_a_cap_and_goes_on_where_it_was_raised(tmp_path: Path):
    """Ours: a run that begins at the cap asks for nothing; raised, the same command goes on from there."""
    world = World(tmp_path / "world", begun_already=True)
    with MistralDouble(Careful()) as double:
        for _ in range(2):
            with pytest.raises(
                StepFailed, match=r"max_answers = 3; what is done stays done: raise max_answers in \[ag"
            ):
                await run(rooms(world), brain_at(double, tmp_path, max_answers=3), tmp_path, "demo")
            assert len(double.requests) == 3
        outcome = await run(rooms(world), brain_at(double, tmp_path), tmp_path, "demo")

    spent = outcome.cycles[0].brain
    assert outcome.cycles[0].verdict == "promote" and spent is not None and spent.answers == len(double.requests) > 3
