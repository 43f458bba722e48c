"""Every tool's result in words: what a person in a chat, or a model that sees only the text, has to go on with."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from servers.catalogue import all_tools
from servers.core.task import load_task
from servers.core.wire import Wire
from servers.core.words import is_seen
from servers.core.workspace import Workspace
from servers.eval import wording as eval_wording
from servers.eval.server import build_room as build_eval
from servers.eval.verdicts import GateDocument
from servers.playbook.evidence import EvidencePage
from servers.retrain import results as retrain
from servers.retrain import wording as retrain_wording
from servers.wording import TEXT_CHARS, WHOLE_CHARS
from tests.campaign_world import CampaignWorld
from tests.words_world import FORMS, MARKED, Ear, Heard, everything_said, saying
from tests.workshop import Workshop

WHOLE = {"open_cycle", "get_cycle", "read_evidence"}  # what has to be passed on, or read, as it stands
NAMED = {  # what a caller that sees only the words needs to go on, by its place in the typed form
    "prepare_dataset": ["dataset", "dataset_version"],
    "evaluate_model": ["evaluation_id", "run_id"],
    "plan_augmentation": ["plan_id"],
    "plan_campaign": ["plan_id"],
    "augment_dataset": ["plan_id", "dataset_version"],
    "plan_retrain": ["plan_id", "dataset_version"],
    "start_retrain": ["job_id"],
    "get_job": ["job_id", "model"],
    "gate_candidate": ["verdict_id", "candidate"],
    "promote_model": ["champion"],
    "open_cycle": ["cycle", "dataset"],
    "get_cycle": ["cycle", "dataset"],
    "write_report": ["report"],
    "list_models": ["champion"],
}
WORDS = {  # fields that hold words of data, models, services and callers, or of ours about them
    "title", "low", "high", "text", "request_text", "why", "reason", "message", "error", "log", "champion",
    "model", "previous", "candidate", "teacher", "hardware", "basis", "warnings", "detail", "tracking_note", "best",
    "indistinguishable", "problem", "words", "sources", "left_out", "word_ngrams",
}  # fmt: skip
SPAN = re.compile(r"`[^`\n]*`")
ID = re.compile(r"\b(?:[a-z]+-[0-9a-f]{12}|[0-9a-f]{16,32})\b")
FIGURE = re.compile(r"(?<![\w/.+-])[+-]?\d[\d,]*(?:\.\d+)?(?:e-\d+)?(?![\w/])")
SECONDS = re.compile(r"\d[\d,.]*(?: s| minutes| hours)\b")  # durations are rounded as people say them


@pytest.fixture(scope="module")
def ear(tmp_path_factory: pytest.TempPathFactory) -> Ear:
    """One that heard every tool."""
    return everything_said(tmp_path_factory.mktemp("artifacts"))


@pytest.fixture(scope="module")
def heard(ear: Ear) -> list[Heard]:
    """What every tool says."""
    return ear.heard


def numbers_in(value: Any) -> Iterator[float]:
    """Every number of a typed result: figures, lengths, and what stands in its words."""
    if isinstance(value, bool):
        return
    if isinstance(value, (int, float)):
        yield from (float(value), -float(value), 100 * float(value), 100 * (1 - 2 * float(value)))
    elif isinstance(value, str):
        yield from (float(found.replace(",", "")) for found in re.findall(r"[+-]?\d[\d,]*(?:\.\d+)?(?:e-\d+)?", value))
    elif isinstance(value, (dict, list)):
        yield float(len(value))
        inside = list(value.values() if isinstance(value, dict) else value)
        yield float(sum(one for one in inside if isinstance(one, (int, float))))
        for one in [*inside, *(value if isinstance(value, dict) else [])]:
            yield from numbers_in(one)


def is_of(figure: str, known: set[float]) -> bool:
    """Whether a figure in the words is one of the numbers, rounded."""
    plain = figure.replace(",", "")
    mantissa, _, exponent = plain.partition("e")
    decimals = len(mantissa.partition(".")[2]) - int(exponent or 0)
    return any(abs(one - float(plain)) <= 0.501 * 10.0**-decimals for one in known)


def test_every_tool_says_its_result_in_words(heard: list[Heard]):
    """Ours: a tool that is added has its words, and stands in the table above with them."""
    served = anyio.run(all_tools)
    ours = {tool.name for server, listed in served.items() if server != "wandb" for tool in listed}

    assert ours == FORMS.keys() == {one.tool for one in heard}
    for one in heard:
        assert one.text.splitlines()[-1].startswith("Next: ") and one.text.count("\nNext: ") == 1, one.text
        assert not one.text.startswith(("{", "[")) and '": ' not in SPAN.sub("", one.text.partition("```json")[0])
        assert all(is_seen(char) for char in one.text.replace("\n", ""))


def test_the_words_are_short(heard: list[Heard]):
    """Ours: a chat shows them whole, and a model pays for every one."""
    longest = {one.tool: max(len(other.text) for other in heard if other.tool == one.tool) for one in heard}

    assert {tool: chars for tool, chars in longest.items() if chars > (WHOLE_CHARS if tool in WHOLE else 1_600)} == {}
    assert all(len(one.links) <= 3 for one in heard)


def test_links_lead_to_what_the_servers_give_to_read(ear: Ear):
    """Ours: the whole of what is said in short can be read, in the form that the link promises."""
    of_demo = [one for one in ear.heard if one.tool not in ("plan_campaign", "choose_candidate", "sample_model")]
    linked = {uri: mime for one in of_demo for uri, mime in one.links.items()}

    assert len(linked) > 15 and {uri.split("/")[2] for uri in linked} == {
        "task", "evaluations", "cycles", "datasets", "models", "jobs", "playbook",
    }  # fmt: skip
    assert {uri: ear.on_shelves.get(uri) for uri in linked} == linked


def test_whoever_sees_only_the_words_has_the_ids_to_go_on_with(heard: list[Heard]):
    """Ours: what other tools take stands in the text."""
    for one in heard:
        wanted = [str(one.content[name]) for name in NAMED.get(one.tool, []) if one.content[name] is not None]
        assert [word for word in wanted if word not in one.text] == [], one.text
    failures = next(one for one in heard if one.tool == "list_failures")
    recorded = next(one for one in heard if one.tool == "record_context")
    assert failures.content["failures"][0]["trace_id"] in failures.text
    assert [failure["trace_id"] for failure in recorded.content["failures"][:5]] == re.findall(
        r"[0-9a-f]{32}", recorded.text
    )


def test_next_steps_can_be_called_as_they_stand_in_the_words(heard: list[Heard]):
    """Ours: a model that sees only the text has every argument, letter by letter, and the reason."""
    states = [one for one in heard if one.tool == "get_cycle" and not one.content["closed"]]

    assert len(states) > 15
    for one in states:
        steps = re.findall(r"^\d+\. (\w+) `(.*?)`(?: - |$)", one.text, re.MULTILINE)
        assert [(tool, json.loads(given)) for tool, given in steps] == [
            (step["tool"], step["arguments"]) for step in one.content["next_steps"]
        ]
        assert all(step["why"] in one.text for step in one.content["next_steps"])


def test_every_figure_and_id_of_the_words_is_in_the_typed_form(heard: list[Heard]):
    """Ours: the two agree; words that say more, or otherwise, would be a second source."""
    for one in heard:
        whole = json.dumps(one.content)
        assert [found for found in ID.findall(one.text) if found not in whole] == [], one.text
        plain = SECONDS.sub("", SPAN.sub("", one.text.partition("```json")[0]))
        plain = re.sub(r"^\d+\. ", "", plain, flags=re.MULTILINE).replace("95% interval", "")
        known = set(numbers_in(one.content)) | {float(k) for k in range(21)}
        assert [found for found in FIGURE.findall(plain) if not is_of(found, known)] == [], one.text


def test_an_error_by_dimension_stands_in_a_table_with_its_interval(heard: list[Heard]):
    """Ours: figures come with their unit and how sure they are."""
    one = next(one for one in heard if one.tool == "evaluate_model")
    error, (low, high) = one.content["metrics"]["mae_raw_warmth"], one.content["intervals"]["mae_raw_warmth"]

    assert f"| warmth | {error:.2f} | {low:.2f} to {high:.2f} |" in one.text
    assert f"{one.content['metrics']['vector_mae']:.2f} points" in one.text


def test_what_is_embedded_is_labelled_in_the_words(heard: list[Heard]):
    """Ours: nobody takes the demo's world for the real one."""
    said = {one.tool: one.text for one in heard}

    assert "synthetic" in said["prepare_dataset"] and "local (embedded)" in said["prepare_dataset"]
    assert "`demo-world` (synthetic, embedded)" in said["plan_augmentation"] and "synthetic" in said["list_datasets"]


def test_a_promotion_tells_its_figures_and_anything_else_says_that_they_are_sealed(heard: list[Heard]):
    """Ours: the words of a verdict tell what its typed form may tell, and that the rest is sealed."""
    passed = next(one for one in heard if one.tool == "gate_candidate")
    held = passed.content | {
        "outcome": "hold", "reason": "the sealed rows do not show a gain", "difference": None, "ci": None,
        "checks": passed.content["checks"][:7],
    }  # fmt: skip
    unfit = held | {"clusters": None, "smallest_visible": None}

    words, saved = (eval_wording.verdict(GateDocument.model_validate(one)).text for one in (held, unfit))

    low, high = passed.content["ci"]
    assert passed.text.startswith("Passed: ") and f"({95}% interval {-high:.3g} to {-low:.3g} lower)" in passed.text
    assert words.startswith("Held: ") and "The difference on 600 sealed rows: sealed." in words
    assert "no verdict was spent" in saved and "promote_model" not in words + saved


def test_money_is_said_in_dollars_with_the_amount_to_type_back(heard: list[Heard]):
    """Ours: a person who pays sees the range, the most, and what to approve."""
    free = next(one for one in heard if one.tool == "plan_retrain")
    quote = free.content["quote"] | {
        "hardware": "a10g-small", "minutes_low": 12, "minutes": 20, "minutes_high": 45, "seconds": 1200, "usd_low": 0.2,
        "usd": 0.34, "usd_high": 0.75, "approve_usd": 1.5, "smoke_run": True,
    }  # fmt: skip
    start = "ask the person who pays; start_retrain with approve_usd 1.50 once they have typed it"

    words = retrain_wording.plan(
        retrain.PlanResult.model_validate(free.content | {"quote": quote, "cost_usd": 0.34, "next": start})
    ).text

    assert "about 20 minutes (12 minutes to 45 minutes) on a10g-small" in words
    assert "about 0.34 USD (0.20 USD to 0.75 USD), at most 1.50 USD" in words and "A small trial run" in words
    assert words.endswith(
        f"start_retrain with plan_id {free.content['plan_id']} and approve_usd 1.50 once they have typed it."
    )


def swollen(form: type[Wire], content: dict[str, Any]) -> Wire:
    """The largest and most hostile result of a form: words are long and marked up, ids as long as they may be, and
    there are thirty of everything."""

    def larger(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            inner = {
                key: larger(one, key if key in WORDS or isinstance(one, str) else name) for key, one in value.items()
            }
            for of, dimension in (("energy", "{}"), ("mae_raw_energy", "mae_raw_{}")):
                if of in inner:
                    inner |= {dimension.format(f"dimension_with_quite_a_long_name{k}"): inner[of] for k in range(24)}
            return inner | ({"total": 95, "next_offset": 30} if "total" in inner else {})
        if isinstance(value, list) and value and not all(isinstance(one, (int, float)) for one in value):
            return [larger(one, name) for one in value * 30][:30]
        if isinstance(value, str) and name in WORDS:
            return MARKED[:60] if name in ("model", "candidate") else MARKED
        return (
            f"{value}-"[:2] + "n" * 62
            if isinstance(value, str) and (ID.fullmatch(value) or name == "dataset")
            else value
        )

    page = {"text": "```\n# ![a](b) <b>" * 240} if form is EvidencePage else {}  # as its server cleans it
    return form.model_validate(larger(content) | page)


def test_thirty_dimensions_and_words_without_end_stay_short_and_plain(heard: list[Heard], tmp_path: Path):
    """Ours: the bound holds whatever data, models and callers say, and none of it is a link or a heading."""
    largest = {one.tool: one for one in sorted(heard, key=lambda one: len(one.text))}

    async def said(tool: str, result: Wire) -> str:
        async with Client(saying(tmp_path, tool, result).server) as client:
            found = await client.call_tool(tool, {})
        assert not found.is_error, found.content
        return str(getattr(found.content[0], "text", ""))

    async def all_said() -> dict[str, str]:
        return {tool: await said(tool, swollen(FORMS[tool][0], one.content)) for tool, one in largest.items()}

    for tool, words in anyio.run(all_said).items():
        outside = SPAN.sub("", words.partition("```json")[0])
        assert len(words) <= (WHOLE_CHARS if tool in WHOLE else TEXT_CHARS), (tool, len(words))
        assert "Next: " in words.splitlines()[-1], words
        assert "![" not in outside and "](" not in outside and "<b>" not in outside, (tool, words)
        assert all(is_seen(char) for char in words.replace("\n", "")), tool


@pytest.mark.anyio
async def test_a_list_that_goes_on_names_the_offset_to_go_on_from(tmp_path: Path):
    """Ours: counts, a few entries and a cursor, in the words as in the typed form."""
    ear = Ear()
    async with Client(saying(tmp_path, "list_jobs", jobs(20, of=45)).server) as client:
        await ear.ask(client, "list_jobs")
    async with Client(saying(tmp_path, "list_jobs", jobs(5, of=45)).server) as client:
        await ear.ask(client, "list_jobs")

    first, last = ear.heard
    upto = int(re.findall(r"Jobs 1 to (\d+) of 45", first.text)[0])
    assert first.text.count("\n- ") == upto and f"list_jobs with offset {upto} " in first.text
    assert "Jobs 41 to 45 of 45" in last.text and "offset" not in last.text


def jobs(count: int, of: int) -> retrain.Jobs:
    """A first page, or with fewer than twenty the last."""
    one = retrain.JobResult(
        job_id="train-0123456789ab", state="succeeded", attempt=1, message="", step=6, of=6, seconds=400.0,
        model="student-0123456789ab", models=["student-0123456789ab"], error=None, next="evaluate_model",
    )  # fmt: skip
    return retrain.Jobs(jobs=[one] * count, total=of, next_offset=count if count == 20 else None)


@pytest.mark.anyio
async def test_the_lists_of_a_folder_are_read_by_the_page(tmp_path: Path):
    """Ours: datasets, jobs and models come with how many there are and where to go on; behind the end is refused."""
    world = CampaignWorld(tmp_path)
    root = world.workspace.root
    cycle = await world.opened()
    await world.planned(cycle, 5)
    world.made(cycle)
    world.trained(cycle)
    async with Workshop(root) as shop:
        first = await shop.call("list_models", dataset="small")
        second = await shop.call("list_models", dataset="small", offset=first["next_offset"])
        listed = await shop.call("list_datasets")
        beyond = await shop.refusal("list_datasets", offset=7)

    ids = [one["model"] for one in [*first["models"], *second["models"]]]
    assert first["total"] == len(ids) == len(set(ids)) > first["next_offset"] == 20 and second["next_offset"] is None
    assert (listed["total"], listed["next_offset"]) == (1, None) and beyond.endswith("behind the last of 1 entries")


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_older_and_newer_protocols_get_the_same(tmp_path: Path, mode: Any):
    """MCP: text, links and typed form come to a client of either kind."""
    async with Client(build_eval(Workspace(tmp_path), load_task("kotone")).server, mode=mode) as client:
        result = await client.call_tool("describe_task", {})

    text, link = result.content
    assert text.type == "text" and text.text.startswith("Task kotone") and link.type == "resource_link"
    assert str(link.uri) == "etude://task" and result.structured_content and result.structured_content["entity"]


@pytest.mark.parametrize(
    ("version", "kinds"),
    [
        ("2025-03-26", ["text"]),
        pytest.param("2025-06-18", ["text", "resource_link"], marks=pytest.mark.services),
    ],
)
def test_a_client_from_before_there_were_links_gets_none(tmp_path: Path, version: str, kinds: list[str]):
    """MCP: links to resources came with 2025-06-18; an older client would refuse the whole result for one."""
    started = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "old", "version": "1"}}
    lines = [
        {"id": 1, "method": "initialize", "params": started},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": {"name": "describe_task", "arguments": {}}},
    ]
    command = [sys.executable, "-m", "servers.eval", "--artifacts", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin and server.stdout
        for line in lines:
            server.stdin.write(json.dumps({"jsonrpc": "2.0", **line}) + "\n")
            server.stdin.flush()
        hello, result = (json.loads(server.stdout.readline())["result"] for _ in range(2))
        server.stdin.close()

    assert hello["protocolVersion"] == version
    assert [block["type"] for block in result["content"]] == kinds
    assert result["content"][0]["text"].startswith("Task kotone")


@pytest.mark.anyio
async def test_a_typed_form_that_breaks_its_schema_is_refused_with_words_too(tmp_path: Path):
    """Ours: words beside it do not let a wrong result through."""

    class Odd(retrain.Service):
        def model_dump(self, **options: Any) -> dict[str, Any]:
            return {"champion": 7}

    odd = Odd(champion="a", previous=None, verdict_id=None, next="open_cycle")
    async with Client(saying(tmp_path, "promote_model", odd).server) as client:
        result = await client.call_tool("promote_model", {})

    assert result.is_error and "promote_model" in str(result.content)
