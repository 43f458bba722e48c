"""A whole campaign on the demo, by both brains over the five real servers, and the cycle that learns from it."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent.offline import OfflineBrain
from agent.outcome import Outcome
from agent.replies import CampaignShown
from servers.catalogue import all_servers
from servers.core.campaign import WAYS
from tests.acceptance import check_artifacts, check_document, check_seal
from tests.doubles.careful import Careful
from tests.doubles.mistral import MistralDouble
from tests.mistral_world import DEMO, KEY, beginning_in, brain_at, brought, copied, read, rows, run, timeless

pytestmark = pytest.mark.services


@dataclass(frozen=True)
class Finished:
    """A run of one campaign by the offline policy."""

    folder: Path
    outcome: Outcome
    screen: str


@pytest.fixture(scope="module")
def beginning(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return beginning_in(tmp_path_factory.mktemp("beginning"))


@pytest.fixture(scope="module")
def finished(beginning: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    folder, screen = copied(beginning, tmp_path_factory.mktemp("campaign")), io.StringIO()

    async def go() -> Outcome:
        return await run(all_servers(folder), OfflineBrain(), folder, screen=screen, campaign=True)

    yield Finished(folder, anyio.run(go), screen.getvalue())


def test_a_campaign_compares_five_ways_and_one_candidate_reaches_the_gate(finished: Finished):
    """Ours: the document has the table, the folder all that a cycle leaves, and one verdict was spent."""
    document: dict[str, Any] = json.loads(finished.outcome.model_dump_json(by_alias=True))
    document["artifacts"], document["report"] = str(finished.folder), str(finished.folder / "wandb" / "report.html")
    check_document(document)
    check_artifacts(document)
    check_seal(document)

    (cycle,) = finished.outcome.cycles
    assert isinstance(cycle.campaign, CampaignShown) and cycle.campaign.chosen is not None
    assert {way.way for way in cycle.campaign.ways} == set(WAYS)
    assert {way.way: way.seeds for way in cycle.campaign.ways} == dict.fromkeys(WAYS, 2) | {"no_new_data": 1}
    told = read(finished.folder / "loop" / "cycle_1" / "gate.json")
    serves = told["candidate"] if cycle.verdict == "promote" else told["champion"]
    assert (cycle.verdict, cycle.champion_after) == (told["outcome"], serves)
    assert told["candidate"] == cycle.campaign.chosen.model
    assert len(list((finished.folder / "jobs").glob("campaign-*"))) == 1
    verdicts = [row for file in (finished.folder / "sealed").rglob("verdicts.jsonl") for row in rows(file)]
    assert [verdict["question"]["cycle"] for verdict in verdicts] == [f"begin_{DEMO}", "cycle_1"]


def test_a_campaign_is_told_on_the_screen_and_on_the_page(finished: Finished):
    """Ours: each way with its figure, its p and what sets it apart."""
    page = (finished.folder / "wandb" / "report.html").read_text(encoding="utf-8")

    assert "cycle_1, a campaign, champion student-" in finished.screen
    assert "9 candidates" in finished.screen and "focused x2" in finished.screen and "to more, " in finished.screen
    assert "Ways that were compared" in page and "hard train rows at double weight" in page


def test_every_way_becomes_an_entry_and_the_judged_one_has_its_verdict(finished: Finished):
    """Ours: computed by the server, so the figures are those of the comparison."""
    policies = read(finished.folder / "loop" / "cycle_1" / "playbook.json")["policies"]
    result = read(finished.folder / "loop" / "cycle_1" / "campaign_result.json")

    assert [(p["way"], p["difference"], p["worked"]) for p in policies] == [
        (way["way"], way["difference"], way["worked"]) for way in result["ways"]
    ]
    outcome = read(finished.folder / "loop" / "cycle_1" / "gate.json")["outcome"]
    assert {p["way"]: p["gate"] for p in policies if p["gate"]} == {result["chosen"]["way"]: outcome}


def test_a_careful_model_takes_the_campaign_to_the_same_end(finished: Finished, beginning: Path, tmp_path: Path):
    """Ours: both brains follow the same list, and the model's arguments are within what it is offered."""
    folder = copied(beginning, tmp_path)
    with MistralDouble(Careful(), api_key=KEY) as double:

        async def go() -> Outcome:
            return await run(all_servers(folder), brain_at(double, folder), folder, campaign=True)

        outcome = anyio.run(go)

    name = "campaign_result.json"
    ours, theirs = (timeless(read(one / "loop" / "cycle_1" / name)) for one in (folder, finished.folder))
    assert ours == theirs and brought(folder) == brought(finished.folder)
    assert outcome.cycles[0].campaign is not None and double.refusals == []


def test_a_model_that_takes_one_step_an_answer_reads_what_is_known_once_and_follows_it(
    finished: Finished, tmp_path: Path
):
    """Ours: the search is a read, so the list hides it once it was made, and the plan behind it is what comes next."""
    folder = copied(finished.folder, tmp_path)
    with MistralDouble(Careful(together=False), api_key=KEY) as double:

        async def go() -> Outcome:
            return await run(all_servers(folder), brain_at(double, folder), folder)

        outcome = anyio.run(go)

    calls = rows(folder / "loop" / "cycle_2" / "ledger.jsonl")
    tools = [call["tool"] for call in calls if call["tool"] in ("search_playbook", "plan_augmentation")]
    assert tools == ["search_playbook", "plan_augmentation"]
    assert outcome.cycles[0].campaign is None and outcome.cycles[0].verdict != "stopped"
    (entry,) = read(folder / "loop" / "cycle_2" / "playbook.json")["policies"]
    assert (entry["seeds"], entry["cycle"], entry["cause"]) == (1, "cycle_2", None)
    assert entry["gate"] == outcome.cycles[0].verdict
