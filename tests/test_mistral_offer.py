"""Which tools a language model is offered, what it may say in a call, and what is done for it."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from mcp.types import Tool, ToolAnnotations
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agent.desk import StepFailed
from agent.mistral.offer import FILLED_IN, NEEDED, READING_BACK, Offer, Offered
from agent.sessions import Server
from agent.wandb_reads import RECORD
from servers.catalogue import all_servers
from tests.doubles.brains import Careful, Said
from tests.doubles.connected import sessions_with
from tests.doubles.conversation import Call
from tests.doubles.house import rooms
from tests.doubles.house_world import World
from tests.doubles.loopback import LoopbackServer
from tests.doubles.mistral import MistralDouble
from tests.mistral_world import brain_at, run, told

pytestmark = pytest.mark.anyio

FUNCTION_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
READING = [*READING_BACK, RECORD]


def tool(name: str, schema: dict[str, Any] | None = None, hints: ToolAnnotations | None = None) -> Tool:
    return Tool(name=name, input_schema=schema or {"type": "object", "properties": {}}, annotations=hints)


def server(name: str, *tools: Tool) -> Server:
    return Server(name, name, "1", tools)


HOUSE = server("playbook", tool("get_cycle"), tool("open_cycle"))


async def real_offer(folder: Path, allowed: Mapping[str, list[str]] | None = None) -> Offer:
    """What the five real servers' tools are offered as."""
    async with sessions_with(all_servers(folder)) as sessions:
        return Offer(sessions.servers, allowed or {})


async def test_all_that_a_cycle_needs_is_offered_and_nothing_that_takes_something_away(tmp_path: Path):
    """Ours: rollback and cancelling are for a person."""
    offered = (await real_offer(tmp_path)).now(READING)

    assert {one.tool.name for one in offered} == NEEDED
    assert not [one.name for one in offered if one.tool.annotations and one.tool.annotations.destructive_hint]
    assert all(FUNCTION_NAME.fullmatch(one.name) and one.function["function"]["description"] for one in offered)


async def test_arguments_that_the_program_fills_in_are_in_no_schema(tmp_path: Path):
    """Ours: W&B's replies, the reason to stop, how many rows: nothing that a text could talk a model into."""
    offered = {one.tool.name: one for one in (await real_offer(tmp_path)).now(READING)}

    for name, arguments in FILLED_IN.items():
        schema = offered[name].schema
        assert set(arguments) <= set(offered[name].tool.input_schema["properties"]), "the tool itself takes them"
        assert not set(arguments) & set(schema["properties"]) and not set(arguments) & set(schema.get("required", []))
        said = offered[name].problem_with({arguments[0]: "x"})
        assert said is not None and f"no argument '{arguments[0]}', which the program fills in" in said
    assert offered[RECORD].schema["required"] == ["cycle"] and "$defs" not in offered[RECORD].schema


async def test_tools_of_wandb_are_offered_while_they_are_due(tmp_path: Path):
    """Ours: their schemas are long; asked for at another step, the model is told so."""
    offer = await real_offer(tmp_path)
    at_other_times = offer.now(["diagnose_dataset"])

    assert {one.tool.name for one in at_other_times} == NEEDED - set(READING)
    said = offer.find("wandb__query_wandb_tool", at_other_times)
    assert said == "wandb__query_wandb_tool is not needed at this step; playbook__get_cycle says what is"
    assert isinstance(offer.find("wandb__query_wandb_tool", offer.now(["query_wandb_tool"])), Offered)


async def test_the_settings_choose_tools_by_server(tmp_path: Path):
    """Ours: more, or fewer; what is not named stays as it was."""
    offer = await real_offer(tmp_path, {"retrain": ["rollback_model"], "eval": []})

    names = {one.name for one in offer.now([])}
    assert "retrain__rollback_model" in names and "playbook__write_report" in names
    assert not [name for name in names if name.startswith(("eval__", "retrain__")) and "rollback" not in name]


@pytest.mark.parametrize(
    ("servers", "allowed", "said"),
    [
        ([HOUSE], {"kitchen": []}, "no server 'kitchen'; connected: playbook"),
        ([HOUSE], {"playbook": ["get_cycle", "cook"]}, "server 'playbook' has no tool 'cook'"),
        ([HOUSE], {"playbook": ["open_cycle"]}, "needs the tool get_cycle, which no connected server offers"),
        ([server("eval", tool("evaluate_model"))], {}, "needs the tool get_cycle"),
    ],
)
def test_settings_that_name_what_is_not_there_are_refused(
    servers: list[Server], allowed: dict[str, list[str]], said: str
):
    """Ours: a misspelt name must not quietly offer less."""
    with pytest.raises(StepFailed, match=re.escape(said)):
        Offer(servers, allowed)


@pytest.mark.parametrize("name", ["My house (new)!", "日本", "a__b", "x" * 80, "-", "a.b/c"])
def test_any_name_of_a_server_or_tool_makes_a_name_that_the_api_takes(name: str):
    """Bug: a tool's name with a dot in it made the server refuse every request."""
    offer = Offer([server(name, tool("get_cycle"), tool("files.read"), tool("files/" + "r" * 80))], {})
    allowed = Offer([server(name, tool("get_cycle"), tool("files.read"))], {name: ["get_cycle", "files.read"]})

    for one in [*offer.now([]), *allowed.now([])]:
        assert FUNCTION_NAME.fullmatch(one.name), one.name
    assert len(allowed.now([])) == 2
    found = offer.find(offer.name_of("get_cycle"), offer.now([]))
    assert isinstance(found, Offered) and found.tool.name == "get_cycle"


def test_two_tools_that_would_have_one_name_are_refused():
    """Bug: the second took the place of the first without a word."""
    with pytest.raises(StepFailed, match=r"two tools would both be called 'w__a_b'; name one of them"):
        Offer([server("w", tool("get_cycle"), tool("a.b"), tool("a_b"))], {"w": ["get_cycle", "a.b", "a_b"]})


async def test_an_unknown_name_is_answered_with_the_one_that_was_meant(tmp_path: Path):
    """Ours: the bare name, another server's, a slip of the pen."""
    offer = await real_offer(tmp_path)
    offered = offer.now([])

    for wrong, meant in [
        ("get_cycle", "playbook__get_cycle"),
        ("playbook__get_cycl", "playbook__get_cycle"),
        ("playbook__get_job", "retrain__get_job"),
    ]:
        assert str(offer.find(wrong, offered)).endswith(f"did you mean {meant}?")
    assert "the tools are eval__" in str(offer.find("zzz", offered))
    assert len(str(offer.find("z" * 10**6, offered))) < 2_000


async def test_a_schema_that_points_elsewhere_is_not_followed_there():
    """Ours: a server's schema must not make this program open addresses; the server judges the arguments itself."""
    asked: list[str] = []

    async def serve(request: Request) -> Response:
        asked.append(str(request.url))
        return JSONResponse({"type": "integer"})

    elsewhere = LoopbackServer(Starlette(routes=[Route("/{path:path}", serve)]))
    try:
        url = f"{elsewhere.start()}/schema.json"
        schema = {"type": "object", "properties": {"cycle": {"$ref": url}}}
        (offered,) = Offer([server("playbook", tool("get_cycle", schema))], {}).now([])
        assert offered.problem_with({"cycle": "not an integer"}) is None
    finally:
        elsewhere.stop()
    assert asked == []


@pytest.mark.parametrize(
    "a", [{"type": "nonsense"}, {"pattern": r"\p{L}+"}, {"$ref": "#/properties/a"}, {"$ref": "#/$defs/b"}]
)
def test_a_schema_that_cannot_be_read_is_left_to_its_server(a: dict[str, Any]):
    """Bug: a type that there is not, or a pattern of another language, ended the run in a traceback."""
    schema = {"type": "object", "properties": {"a": a}}
    (offered,) = Offer([server("playbook", tool("get_cycle", schema))], {}).now([])

    assert offered.problem_with({"a": "x"}) is None and offered.problem_with({"b": 1}) is not None


class Trying(Careful):
    """Tries some calls, one an answer, as soon as a tool is due; then it is careful."""

    def __init__(self, due: str, calls: list[Call]) -> None:
        super().__init__()
        self._due, self._calls = due, list(calls)
        self.bodies: list[Mapping[str, Any]] = []

    def answer(self, body: Mapping[str, Any]) -> Said:
        self.bodies.append(body)
        proper = super().answer(body)
        if self._calls and proper.calls and proper.calls[0][0].endswith(self._due):
            return Said("I try this.", [self._calls.pop(0)])
        return proper


MADE_UP = {"cycle": "cycle_1", "server": {"name": "w", "version": "1"}, "calls": []}


@pytest.mark.parametrize(
    ("due", "name", "arguments", "said"),
    [
        (
            "gate_candidate",
            "playbook__write_report",
            {"cycle": "cycle_1", "stop_reason": "x"},
            "which the program fills",
        ),
        ("query_wandb_tool", "playbook__record_context", MADE_UP, "takes no argument 'calls', which the program fills"),
        ("get_job", "retrain__get_job", {"job_id": "train-cycle_1", "wait_s": 600}, "which the program fills in"),
        (
            "gate_candidate",
            "retrain__promote_model",
            {"cycle": "cycle_9", "candidate": "c"},
            "this run works on cycle_1",
        ),
        ("plan_augmentation", "augment__augment_dataset", {"plan_id": "augment-x"}, "which is no plan now"),
        ("augment_dataset", "augment__augment_dataset", {"plan_id": "augment-x"}, "which is ['augment-cycle_1'] now"),
        ("start_retrain", "retrain__start_retrain", {"plan_id": "retrain-x"}, "which is ['retrain-cycle_1'] now"),
        ("gate_candidate", "eval__prepare_dataset", {"dataset": "other"}, "there is no tool 'eval__prepare_dataset'"),
        ("gate_candidate", "eval__gate_candidate", {"cycle": "cycle_1"}, "'candidate' is a required property"),
        ("gate_candidate", "eval__gate_candidate", {"cycle": 1, "candidate": "c"}, "cycle: 1 is not of type 'string'"),
        ("gate_candidate", "eval__gate_candidate", "{'cycle': 1}", "the arguments are not JSON"),
        ("gate_candidate", "eval__gate_candidate", "[1]", "the arguments are a list; give one JSON object"),
        ("gate_candidate", "eval__gate_candidate", '{"cycle": "\\ud83d"}', "something that JSON over the wire cannot"),
        ("gate_candidate", "eval__gate_candidate", '{"cycle": NaN}', "something that JSON over the wire cannot"),
        ("gate_candidate", "eval__gate_candidate", f'{{"cycle": {"[" * 99}{"]" * 99}}}', "nested more than 50 deep"),
        ("gate_candidate", "eval__gate_candidate", '{"cycle": ' + "[" * 10**5, "the arguments are not JSON"),
        (
            "gate_candidate",
            "eval__gate_candidate",
            {"cycle": "cycle_1", "candidate": "rule"},
            "which is ['student-cycle",
        ),
        (
            "promote_model",
            "retrain__promote_model",
            {"cycle": "cycle_1", "candidate": "rule"},
            "which is ['student-cyc",
        ),
        ("plan_retrain", "retrain__promote_model", {"cycle": "cycle_1", "candidate": "rule"}, "which is none now"),
    ],
)
async def test_what_a_server_might_let_through_is_not_even_asked(
    tmp_path: Path, due: str, name: str, arguments: Any, said: str
):
    """Ours: the scripted house would do anything; the model is told why not, and the cycle goes on."""
    world, model = World(tmp_path / "world", begun_already=True), Trying(due, [(name, arguments)])
    with MistralDouble(model) as double:
        outcome = await run(rooms(world), brain_at(double, tmp_path / "a"), tmp_path / "a", "demo")

    (reply,) = [reply for body in model.bodies for reply in told(body) if not reply["ok"]]
    assert said in reply["error"] and "\n" not in reply["error"]
    asked = world.arguments(name.partition("__")[2])
    assert arguments not in asked and outcome.cycles[0].verdict == "promote" and double.refusals == []


async def test_waiting_needs_no_thinking(tmp_path: Path):
    """Ours: for the end of a job, and for a tracker that is busy; the model is asked as often as without."""
    asked = []
    for name, settings in (("quick", {}), ("slow", {"job_polls": 5, "busy": 2})):
        world = World(tmp_path / name, begun_already=True, **settings)
        with MistralDouble(Careful()) as double:
            await run(rooms(world), brain_at(double, tmp_path / f"{name}-a"), tmp_path / f"{name}-a", "demo")
        asked.append(len(double.requests))

    assert asked[0] == asked[1] and world.calls.count("get_job") == 5
    assert {given["wait_s"] for given in world.arguments("get_job")} == {10}
    assert world.calls.count("count_weave_traces_tool") == 3
    recorded = world.arguments(RECORD)[0]
    assert recorded["server"] == {"name": "etude-wandb-local", "version": "1.0"}
    assert list(dict.fromkeys(call["tool"] for call in recorded["calls"])) == list(READING_BACK)
    assert json.loads(recorded["calls"][0]["text"])["viewer"]["username"] == "double"
