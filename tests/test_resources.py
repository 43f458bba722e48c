"""What the servers give to read: lists that grow, templates, documents, and refusals that say what there is."""

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.types import PromptReference, ResourceTemplateReference

from servers.catalogue import READING, README, all_reading, all_servers, reading_table, with_table
from servers.core.task import load_task
from servers.core.workspace import Workspace
from servers.eval.server import build_room as build_eval
from servers.playbook.server import build_room as build_playbook
from servers.room import Room
from servers.room_server import RoomServer
from servers.shelf import MARKDOWN, Document, Shelf, There
from tests.reading_world import CLOSED, OPEN, Readers, listed, read, refused
from tests.workshop import call

pytestmark = pytest.mark.anyio
TEMPLATES = {
    "eval": {"etude://evaluations/{evaluation_id}", "etude://cycles/{cycle}/gate"},
    "augment": {"etude://datasets/{dataset}/{version}"},
    "retrain": {"etude://jobs/{job}"},
    "playbook": {
        "etude://cycles/{cycle}",
        "etude://cycles/{cycle}/report",
        "etude://cycles/{cycle}/report.html",
        "etude://cycles/{cycle}/playbook",
        "etude://cycles/{cycle}/decisions",
    },
    "wandb": set[str](),
}
REPORTS = "etude://cycles/{}/report"


@pytest.fixture(scope="module")
def artifacts(one_closed_one_open: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy for this file's tests."""
    return Path(shutil.copytree(one_closed_one_open, tmp_path_factory.mktemp("read") / "artifacts"))


async def test_what_is_listed_is_what_is_on_disk_now(trained: Path, tmp_path: Path):
    """MCP: resources/list; a document is listed as soon as a tool has made it, with all that a client shows of it."""
    folder = Path(shutil.copytree(trained, tmp_path / "artifacts"))

    async with Client(all_servers(folder)["playbook"]) as client:
        before = (await client.list_resources()).resources
        await call(client, "write_report", cycle=CLOSED, stop_reason="the machine is needed")
        after = (await client.list_resources()).resources

    assert [r.uri for r in before] == ["etude://cycles", "etude://playbook", f"etude://cycles/{CLOSED}"]
    new = {r.uri.removeprefix(f"etude://cycles/{CLOSED}/"): r for r in after if r.uri not in {b.uri for b in before}}
    assert {name: r.mime_type for name, r in new.items()} == {
        "report": "text/markdown",
        "report.html": "text/html",
        "playbook": "text/markdown",
        "decisions": "text/markdown",
    }
    lies = (folder / "loop" / CLOSED / "decision_log.md").stat().st_size
    assert {name: r.size for name, r in new.items() if r.size is not None} == {"decisions": lies}
    page = new["report.html"]
    assert page.name == f"{CLOSED}/report.html" and page.title == f"{CLOSED}: report with pictures"
    assert page.description and page.annotations and page.annotations.audience == ["user"]
    assert page.annotations.last_modified and page.annotations.last_modified.endswith("Z")


async def test_the_readme_lists_what_can_be_read_and_asked_for():
    """Ours: the table is made by a command; `python -m servers.catalogue --write` mends it."""
    readme = README.read_text(encoding="utf-8")

    assert with_table(readme, reading_table(await all_reading()), READING) == readme


async def test_every_document_that_is_listed_can_be_read_and_reading_changes_nothing(artifacts: Path):
    """MCP: what is listed is there. Ours: reading writes no file, and tells no figure that the judge keeps sealed."""
    before = {path: path.read_bytes() for path in artifacts.rglob("*") if path.is_file()}

    async with Readers(artifacts) as readers:
        said = await readers.everything()

    assert {path: path.read_bytes() for path in artifacts.rglob("*") if path.is_file()} == before
    assert all(said.values()) and len(said) > 15
    kept = json.loads(next((artifacts / "sealed" / "mine").glob("*/verdicts.jsonl")).read_text())["verdict"]
    figures = {form.format(x) for x in (kept["difference"], *kept["ci"]) for form in ("{:.3g}", "{:+.2f}", "{}")}
    assert kept["outcome"] != "promote" and {u for u, text in said.items() for f in figures if f in text} == set()
    states = [said["etude://cycles"], said[f"etude://cycles/{CLOSED}"], said[f"etude://cycles/{OPEN}"]]
    named = {uri for text in states for uri in re.findall(r"etude://[a-z0-9_./-]*[a-z0-9]", text)}
    assert len(named) > 5 and named <= said.keys()
    for uri, text in said.items():
        if uri.startswith(("etude://evaluations", "etude://datasets", "etude://jobs")) or uri.endswith("/gate"):
            json.loads(text)


async def test_a_document_shows_what_the_tool_of_its_kind_shows(artifacts: Path):
    """Ours: one view of everything; a resource is no way around what a tool holds back."""
    async with Readers(artifacts) as readers:
        evaluations = [uri for uri in await listed(readers.of["eval"]) if "/evaluations/" in uri]
        evaluation = json.loads((await read(readers.of["eval"], evaluations[0]))[0])
        gate = json.loads((await read(readers.of["eval"], f"etude://cycles/{CLOSED}/gate"))[0])
        task = json.loads((await read(readers.of["eval"], "etude://task"))[0])
        models = json.loads((await read(readers.of["retrain"], "etude://models"))[0])
        asked = {"evaluation_id": evaluations[0].rpartition("/")[2]}
        judge, trainer = readers.of["eval"], readers.of["retrain"]

        assert evaluation["evaluation"] == await call(judge, "get_evaluation", **asked)
        assert evaluation["worst_rows"] == await call(judge, "list_failures", **asked, limit=20)
        assert task == await call(judge, "describe_task")
        assert models == {"mine": await call(trainer, "list_models", dataset="mine")}
    assert gate == json.loads((artifacts / "loop" / CLOSED / "gate.json").read_text())
    assert gate["outcome"] != "promote" and gate["difference"] is None and gate["ci"] is None


async def test_a_closed_cycle_has_its_papers_and_an_open_one_says_what_is_next(artifacts: Path):
    """Ours: the report in Markdown and as a page, the decisions as they were written; else state and next steps."""
    async with Readers(artifacts) as readers:
        playbook = readers.of["playbook"]
        report = await read(playbook, REPORTS.format(CLOSED))
        page = await read(playbook, REPORTS.format(CLOSED) + ".html")
        decisions = await read(playbook, f"etude://cycles/{CLOSED}/decisions")
        state = await read(playbook, f"etude://cycles/{OPEN}")
        every = await read(playbook, "etude://cycles")
        step = (await call(playbook, "get_cycle", cycle=OPEN))["next_steps"][0]
        missing = await refused(playbook, REPORTS.format(OPEN))

    assert report[1] == "text/markdown" and report[0].startswith("# ") and "## Key results" in report[0]
    assert page[1] == "text/html" and page[0].startswith("<!DOCTYPE html>") and f"<title>{CLOSED}" in page[0]
    assert decisions[0] == (artifacts / "loop" / CLOSED / "decision_log.md").read_text(encoding="utf-8")
    assert f"1. `{step['tool']}`" in state[0] and json.dumps(step["arguments"]) in state[0]
    assert every[0].index(f"etude://cycles/{OPEN}") < every[0].index(f"etude://cycles/{CLOSED}")
    assert REPORTS.format(CLOSED) in missing and "etude://cycles/{cycle} says where it stands" in missing


@pytest.mark.parametrize(
    ("uri", "known"),
    [
        ("etude://cycles/nothing", f"etude://cycles/{CLOSED}"),
        ("etude://cycles/../report", REPORTS.format(CLOSED)),
        ("etude://cycles/%2e%2e/report", REPORTS.format(CLOSED)),
        ("etude://cycles/%2e%2e%2fsealed/report", REPORTS.format(CLOSED)),
        ("etude://cycles/..%5c..%5csealed/decisions", f"etude://cycles/{CLOSED}/decisions"),
        (f"etude://cycles/{CLOSED}%00/decisions", f"etude://cycles/{CLOSED}/decisions"),
        (f"etude://cycles/{CLOSED}/../{CLOSED}/decisions", "etude://cycles/{cycle}/decisions"),
        ("etude://cycles//report", "etude://cycles"),
        ("etude://sealed/mine", "etude://cycles/{cycle}"),
        ("file:///etc/passwd", "etude://cycles/{cycle}"),
        ("\u202e" + "x" * 100_000, "etude://cycles/{cycle}"),
    ],
)
async def test_what_is_not_there_is_refused_with_what_is(artifacts: Path, uri: str, known: str):
    """Ours: one line; a path that climbs out is no name of anything, however it is spelt."""
    async with Client(all_servers(artifacts)["playbook"]) as client:
        said = await refused(client, uri)

    assert len(said) <= 1000 and said.isprintable() and known in said


@pytest.mark.parametrize(
    ("server", "uri", "known"),
    [
        ("eval", f"etude://cycles/{OPEN}/gate", f"etude://cycles/{CLOSED}/gate; gate_candidate asks for one"),
        ("eval", "etude://evaluations/eval-000000000000", "there are: etude://evaluations/eval-"),
        ("augment", "etude://datasets/mine/0000000000000000", "there are: etude://datasets/mine/"),
        ("augment", "etude://datasets/..%2f..%2fsealed/mine", "there are: etude://datasets/mine/"),
        ("retrain", "etude://jobs/train-000000000000", "there are: etude://jobs/train-"),
        ("wandb", "etude://task", "here are: none"),
    ],
)
async def test_every_server_says_what_it_has(artifacts: Path, server: str, uri: str, known: str):
    """Ours: the same in every room."""
    async with Client(all_servers(artifacts)[server]) as client:
        assert known in await refused(client, uri)


async def test_templates_name_every_kind_and_their_variables_complete(artifacts: Path):
    """MCP: resources/templates/list, completion/complete."""
    async with Readers(artifacts) as readers:
        found = {
            name: {t.uri_template for t in (await client.list_resource_templates()).resource_templates}
            for name, client in readers.of.items()
        }

        async def complete(server: str, template: str, name: str, begun: str, **others: str) -> list[str]:
            ref = ResourceTemplateReference(uri=template)
            argument = {"name": name, "value": begun}
            result = await readers.of[server].complete(ref, argument, context_arguments=others or None)
            return result.completion.values

        cycles = await complete("playbook", "etude://cycles/{cycle}", "cycle", "")
        begun = await complete("playbook", "etude://cycles/{cycle}", "cycle", "BEGIN")
        judged = await complete("eval", "etude://cycles/{cycle}/gate", "cycle", "")
        datasets = await complete("augment", "etude://datasets/{dataset}/{version}", "dataset", "m")
        versions = await complete("augment", "etude://datasets/{dataset}/{version}", "version", "", dataset="mine")
        others = await complete("augment", "etude://datasets/{dataset}/{version}", "version", "", dataset="demo")
        unknown = await complete("playbook", "etude://nothing/{here}", "here", "")

    assert found == TEMPLATES
    assert cycles == [OPEN, CLOSED] and begun == [CLOSED] and judged == [CLOSED]
    assert datasets == ["mine"] and others == [] and unknown == []
    assert versions == [path.parent.name for path in (artifacts / "datasets" / "mine").glob("*/card.json")]


def many(count: int) -> list[Document]:
    def there() -> list[There]:
        return [There({"n": f"n{number}"}, f"number {number}") for number in range(count)]

    return [
        Document(f"etude://{kind}/{{n}}", kind, kind, "A test.", MARKDOWN, there, lambda n: f"# {n}")
        for kind in ("one", "two", "three")
    ]


async def test_long_lists_come_by_the_page_and_end(tmp_path: Path):
    """MCP: nextCursor. Ours: the newest 50 of each kind are listed, older ones can be read, completions are bounded."""
    room = Room("eval", "For a test.", Workspace(tmp_path))
    room.shelf.add(*many(120))

    async with Client(room.server) as client:
        first = await client.list_resources()
        uris = await listed(client)
        old = await read(client, "etude://two/n119")
        ref = ResourceTemplateReference(uri="etude://one/{n}")
        completed = (await client.complete(ref, {"name": "n", "value": "n"})).completion
        errors = []
        for cursor in ("0", "150", "-1", "nonsense", "9" * 10_000):
            with pytest.raises(MCPError, match="leads nowhere; begin without one") as refusal:
                await client.list_resources(cursor=cursor)
            errors.append(refusal.value.code)

    assert len(first.resources) == 50 and first.next_cursor == "50"
    assert len(uris) == len(set(uris)) == 150 and uris[:4] == [
        "etude://one/n0",
        "etude://two/n0",
        "etude://three/n0",
        "etude://one/n1",
    ]
    assert old == ("# n119", "text/markdown") and set(errors) == {-32602}
    assert len(completed.values) == 100 and completed.total == 120 and completed.has_more


async def test_a_damaged_file_takes_nothing_else_off_the_list(artifacts: Path, tmp_path: Path):
    """Ours: what is broken is told by what reads it; the rest of the list stays."""
    folder = Path(shutil.copytree(artifacts, tmp_path / "artifacts"))
    (folder / "loop" / CLOSED / "gate.json").write_text('{"outcome": "promote", "difference": "SEALED"}')
    (next((folder / "datasets" / "mine").glob("*/card.json"))).write_text("{}")

    async with Readers(folder) as readers:
        uris = [await listed(client) for client in readers.of.values()]
        with pytest.raises(MCPError, match="restore its file") as broken:
            await readers.of["eval"].read_resource(f"etude://cycles/{CLOSED}/gate")

    assert any("/evaluations/" in uri for uri in uris[0]) and not any("/datasets/" in uri for uri in uris[1])
    assert broken.value.code == -32603 and "SEALED" not in broken.value.message


async def test_several_rooms_make_one_server(artifacts: Path):
    """Ours: what the rooms give to read, and their prompts, go together without a room knowing of another."""
    workspace, task = Workspace(artifacts), load_task("kotone")
    rooms = [build_eval(workspace, task), build_playbook(workspace, task)]
    server = RoomServer(
        "both", Shelf.of(r.shelf for r in rooms), refusals=(ValueError,), words=str, instructions="", version="1"
    )
    for room in rooms:
        for prompt in room.prompts:
            server.offer(prompt)

    async with Client(server) as client:
        gate, state = (
            await read(client, f"etude://cycles/{CLOSED}/gate"),
            await read(client, f"etude://cycles/{CLOSED}"),
        )
        prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]
        ref = PromptReference(name="explain_failures")
        cycles = (await client.complete(ref, {"name": "cycle", "value": ""})).completion.values

    assert gate[1] == "application/json" and state[1] == "text/markdown"
    assert prompts == ["explain_failures", "run_cycle", "review_promotion", "plan_next_cycle"]
    assert cycles == [CLOSED]


@pytest.mark.parametrize("mode", ["legacy", pytest.param("auto", marks=pytest.mark.services)])
async def test_documents_and_prompts_come_over_stdio_in_old_and_new_versions(artifacts: Path, mode: Any):
    """MCP: 2025-11-25 and 2026-07-28. Ours: no list_changed is promised, since other processes write here as well."""
    arguments = ["-m", "servers.playbook", "--artifacts", str(artifacts)]
    server = StdioServerParameters(command=sys.executable, args=arguments)

    async with Client(server, mode=mode) as client:
        capabilities = client.server_capabilities
        decisions = await read(client, f"etude://cycles/{CLOSED}/decisions")
        said = await refused(client, "etude://cycles/nothing")
        prompts = {prompt.name for prompt in (await client.list_prompts()).prompts}

    assert capabilities is not None and capabilities.resources is not None and capabilities.completions is not None
    assert not capabilities.resources.list_changed and not capabilities.resources.subscribe
    assert decisions[1] == "text/markdown" and f"etude://cycles/{CLOSED}" in said
    assert prompts == {"run_cycle", "review_promotion", "plan_next_cycle"}
