"""`etude client-config`: what each client is told, and what is done to a file that somebody else owns."""

import json
import os
import shlex
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from agent import wandb_server
from agent.endpoints import read_endpoints
from servers.clients import text_file, wanted
from servers.clients.command import run
from servers.clients.known import CLIENTS, MOVED

SECRET = "a-key-that-must-show-nowhere-0123456789"
WITH_FILE = [name for name, client in CLIENTS.items() if client.format is not None]
REFERENCES = {"claude-code": "${WANDB_API_KEY}", "cursor": "${env:WANDB_API_KEY}", "vscode": "${input:wandb-api-key}"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's home without any client, and a folder to stand in."""
    (tmp_path / "home").mkdir()
    (tmp_path / "project").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "project")
    for name in (*wanted.SETTINGS, *MOVED.values(), wanted.TOKEN):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


def parsed(client: str, text: str) -> dict[str, dict[str, Any]]:
    """The servers in a client's file, by name."""
    if client == "vibe":
        return {one.pop("name"): one for one in tomllib.loads(text)["mcp_servers"]}
    servers: dict[str, dict[str, Any]] = json.loads(text)[CLIENTS[client].key]
    return servers


def mcp_json(text: str) -> Path:
    file = Path(".cursor/mcp.json")
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(text.encode())
    return file


@pytest.mark.anyio
@pytest.mark.parametrize("client", [pytest.param("claude-desktop", marks=pytest.mark.services), "vibe"])
async def test_a_written_entry_starts_its_server(client: str, home: Path, capsys, monkeypatch):
    """MCP: what stands in the file is a command that serves tools, from whatever folder it is started in.

    One client of each form of command; the next test holds the others to the same one.
    """
    monkeypatch.setenv("MISTRAL_API_KEY", SECRET)
    keys = home / "keys.env"
    keys.write_text(f"# mine\nOTHER=x\nexport MISTRAL_API_KEY='{SECRET}'\n")
    keys.chmod(0o600)

    code = run([client, "--each", "--write", "--file", "c.conf", "--env-file", str(keys), "--artifacts", "a"])

    entry = parsed(client, Path("c.conf").read_text())["etude-playbook"]
    elsewhere = home / "elsewhere"
    (elsewhere / "servers").mkdir(parents=True)
    (elsewhere / "servers" / "__init__.py").write_text("raise SystemExit('not ours')")
    env = dict.fromkeys(entry.get("env", {}), SECRET)
    server = StdioServerParameters(command=entry["command"], args=entry["args"], env=env, cwd=elsewhere)
    async with Client(server) as connected:
        tools = [tool.name for tool in (await connected.list_tools()).tools]
    assert (code, "get_cycle" in tools) == (0, True)
    assert f"--artifacts={Path('a').resolve()}" in entry["args"]
    shown = capsys.readouterr()
    assert SECRET not in shown.out + shown.err + Path("c.conf").read_text()


@pytest.mark.parametrize("client", WITH_FILE)
def test_every_client_is_given_the_same_command(client: str, capsys):
    """Ours: so that a server is the same whoever starts it."""
    commands = []
    for one in ("claude-desktop", client):
        assert run([one, "--each", "--write", "--file", f"{one}.conf", "--artifacts", "a"]) == 0
        entry = parsed(one, Path(f"{one}.conf").read_text())["etude-playbook"]
        command = entry["command"]
        commands.append([*(command if isinstance(command, list) else [command]), *entry["args"]])

    assert commands[0] == commands[1]


def test_blanks_in_a_path_stay_in_it(home: Path, monkeypatch):
    """Bug: Vibe splits a command at its blanks, as a shell does."""
    linked = home / "my tools"
    linked.mkdir()
    (linked / "etude").symlink_to(Path(sys.executable).with_name("etude"))
    (linked / "python").symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(linked / "python"))

    run(["vibe", "--each", "--write", "--file", "f", "--artifacts", "a b"])
    run(["vibe", "--each", "--write", "--file", "f", "--artifacts", "c d"])

    entry = parsed("vibe", Path("f").read_text())["etude-playbook"]
    assert entry["command"] == [str(linked / "etude")] and f"--artifacts={Path('c d').resolve()}" in entry["args"]


@pytest.mark.anyio
async def test_one_entry_serves_the_tools_of_all_rooms(capsys):
    """Ours: a person adds one server, and has the whole loop."""
    run(["cursor", "--wandb", "none"])

    entry = json.loads(capsys.readouterr().out)["mcpServers"]["etude"]
    async with Client(StdioServerParameters(command=entry["command"], args=entry["args"])) as connected:
        tools = {tool.name for tool in (await connected.list_tools()).tools}
    assert {"prepare_dataset", "plan_augmentation", "plan_retrain", "get_cycle"} <= tools


@pytest.mark.parametrize("client", WITH_FILE)
def test_keys_are_named_in_the_words_of_the_client(client: str, capsys, monkeypatch):
    """Ours: by reference, never by value, and only those that are set."""
    monkeypatch.setenv("WANDB_API_KEY", SECRET)

    code = run([client, "--wandb", "hosted"])

    shown = capsys.readouterr()
    servers = parsed(client, shown.out)
    assert code == 0 and SECRET not in shown.out + shown.err and "MISTRAL_API_KEY" not in shown.out
    official = servers["wandb"]
    if client in REFERENCES:
        assert servers["etude"]["env"] == {"WANDB_API_KEY": REFERENCES[client]}
        assert official["url"] == wandb_server.HOSTED
        assert official["headers"] == {"Authorization": f"Bearer {REFERENCES[client]}"}
    elif client == "vibe":
        assert official == {
            "transport": "streamable-http",
            "url": wandb_server.HOSTED,
            "api_key_env": "WANDB_API_KEY",
        }
        assert "WANDB_API_KEY" in servers["etude"]["args"]
    else:
        assert official["args"][-1] == "Authorization:Bearer ${WANDB_API_KEY}" and "url" not in official
        assert "env | grep -E '^(WANDB_API_KEY)='" in shown.err


def test_a_client_that_asks_is_told_what_to_ask(capsys, monkeypatch):
    """Ours: VS Code keeps a secret itself; it is asked for once, hidden, and only where a server needs it."""
    monkeypatch.setenv("WANDB_API_KEY", SECRET)

    run(["vscode"])

    [one] = json.loads(capsys.readouterr().out)["inputs"]
    assert (one["type"], one["id"], one["password"]) == ("promptString", "wandb-api-key", True)


def test_without_a_key_the_stand_in_is_offered_and_labelled(capsys):
    """Ours: what runs without an account says so; the server with all tools has the stand-in's."""
    run(["claude-desktop", "--each"])
    each = capsys.readouterr()
    run(["claude-desktop"])
    one = capsys.readouterr()

    assert parsed("claude-desktop", each.out)["wandb-stand-in"]["args"][:2] == ["serve", "wandb"]
    assert list(parsed("claude-desktop", one.out)) == ["etude"]
    for shown in (each, one):
        assert "EMBEDDED: our stand-in" in shown.err and "no key is set here" in shown.err


def test_the_official_server_runs_here_where_asked_and_says_nothing_by_itself(capsys, monkeypatch):
    """Ours: the same command and the same silence as a cycle uses."""
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org/")

    run(["cursor", "--wandb", "local"])

    entry = parsed("cursor", capsys.readouterr().out)["wandb"]
    assert [Path(entry["command"]).name, *entry["args"]] == wandb_server.COMMAND
    traces = dict.fromkeys(("WF_TRACE_SERVER_URL", "WEAVE_TRACE_SERVER_URL"), "https://wandb.example.org/traces")
    assert entry["env"] == wandb_server.QUIET | traces | {"WANDB_API_KEY": "${env:WANDB_API_KEY}"}
    assert (wanted.HOSTED, wanted.CLOUD) == (wandb_server.HOSTED, wandb_server.CLOUD)


def test_servers_elsewhere_are_reached_with_a_token_by_name(capsys):
    """Ours: all in one or one each, and an address that ends in /mcp leads to that server."""
    assert run(["vscode", "--url", "https://etude.example.org"]) == 0
    together = parsed("vscode", capsys.readouterr().out)
    assert run(["claude-code", "--each", "--url", "https://etude.example.org/"]) == 0
    rooms = parsed("claude-code", capsys.readouterr().out)
    assert run(["cursor", "--url", "http://127.0.0.1:8765/eval/mcp"]) == 0
    one = parsed("cursor", capsys.readouterr().out)

    assert together["etude"]["url"] == "https://etude.example.org/mcp"
    assert together["etude"]["headers"] == {"Authorization": "Bearer ${input:etude-token}"}
    assert rooms["etude-augment"] == {
        "type": "http",
        "url": "https://etude.example.org/augment/mcp",
        "headers": {"Authorization": "Bearer ${ETUDE_TOKEN}"},
    }
    assert sorted(rooms) == ["etude-augment", "etude-eval", "etude-playbook", "etude-retrain"]
    assert list(one) == ["etude"] and one["etude"]["url"] == "http://127.0.0.1:8765/eval/mcp"


@pytest.mark.parametrize("client", ["claude-desktop", "claude-code", "cursor", "vscode", "vibe"])
def test_a_server_on_this_machine_is_named_a_token_only_where_one_is_set(
    client: str, capsys, monkeypatch: pytest.MonkeyPatch
):
    """Bug: a client does not start with a reference to a variable that is not set, and the server asks for none."""
    monkeypatch.delenv("ETUDE_TOKEN", raising=False)
    assert run([client, "--url", "http://127.0.0.1:8321"]) == 0
    without = capsys.readouterr()
    monkeypatch.setenv("ETUDE_TOKEN", SECRET)
    assert run([client, "--url", "http://127.0.0.1:8321"]) == 0
    with_token = capsys.readouterr()

    assert "http://127.0.0.1:8321/mcp" in without.out and "token" not in without.out.casefold()
    assert "set ETUDE_TOKEN and call this again" in without.err
    assert (
        "etude_token" in with_token.out.casefold().replace("-", "_") and SECRET not in with_token.out + with_token.err
    )


@pytest.mark.parametrize("client", WITH_FILE)
def test_an_entry_for_an_open_server_of_this_machine_gets_its_token_later(client: str, capsys, monkeypatch):
    """Ours: the entry without a token is known again as ours, in whatever form the client has it."""
    words = [client, "--write", "--file", "f", "--url", "http://127.0.0.1:8321/mcp"]

    assert run(words) == 0

    text, said = Path("f").read_text(), capsys.readouterr().err
    assert "ETUDE_TOKEN" not in text and "etude-token" not in text and "with_keys" not in text
    assert "http://127.0.0.1:8321/mcp" in text and "set ETUDE_TOKEN and call this again" in said

    monkeypatch.setenv("ETUDE_TOKEN", SECRET)
    assert run(words) == 0
    text = Path("f").read_text()
    assert SECRET not in text and ("ETUDE_TOKEN" in text or "etude-token" in text)
    assert list(parsed(client, text)) == ["etude"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cursor", "--url", "http://example.org/mcp"], "in the clear"),
        (["cursor", "--url", f"https://me:{SECRET}@example.org"], "more than an address"),
        (["cursor", "--url", "example.org"], "no address"),
        (["cursor", "--url", "https://a.example/mcp", "--each"], "--each takes the address of the host"),
        (["lechat"], "public https address"),
        (["lechat", "--url", "http://127.0.0.1/mcp"], "https addresses only"),
        (["lechat", "--url", "https://a.example", "--write"], "no file to write"),
        (["claude-desktop", "--scope", "project"], "no scope 'project'"),
        (["claude-desktop", "--skill"], "no agent skills"),
        (["cursor", "--config", "no.toml"], "cannot read the configuration"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(words: list[str], said: str, capsys):
    """Ours: exit code 2, one line, nothing on stdout, and no secret said back."""
    code = run(words)

    shown = capsys.readouterr()
    assert (code, shown.out, shown.err.count("\n")) == (2, "", 1)
    assert said in shown.err and SECRET not in shown.err


def test_le_chat_gets_steps_and_values_and_no_file(capsys, monkeypatch):
    """Ours: it has no file; what is typed into its window is printed, the token by name."""
    monkeypatch.setenv("ETUDE_TOKEN", SECRET)
    monkeypatch.setenv("WANDB_API_KEY", SECRET)

    code = run(["lechat", "--url", "https://etude.example.org/mcp"])

    shown = capsys.readouterr()
    assert code == 0 and SECRET not in shown.out + shown.err
    assert "Connection server https://etude.example.org/mcp" in shown.out
    assert f"Connection server {wandb_server.HOSTED}" in shown.out and "the value of ETUDE_TOKEN" in shown.out


def test_the_commands_of_claude_code_say_the_same_as_its_file(capsys, monkeypatch):
    """Ours: either way leads to one configuration, and no shell fills a reference in."""
    monkeypatch.setenv("WANDB_API_KEY", SECRET)

    run(["claude-code"])

    shown = capsys.readouterr()
    commands = [shlex.split(line) for line in shown.err.splitlines() if line.startswith("  claude mcp add-json")]
    assert {words[5]: json.loads(words[6]) for words in commands} == json.loads(shown.out)["mcpServers"]


def test_a_server_is_led_to_its_work_from_anywhere(capsys):
    """Ours: a client starts it in a folder of its own, so every path is written in full."""
    Path("etude.toml").write_text('artifacts = "mine"\ntask = "tasks/other.toml"\n')

    run(["cursor"])

    args = parsed("cursor", capsys.readouterr().out)["etude"]["args"]
    here = Path.cwd()
    assert args[2:] == [
        f"--artifacts={here / 'mine'}",
        f"--task={here / 'tasks/other.toml'}",
        f"--config={here / 'etude.toml'}",
    ]


def test_a_sealed_folder_that_would_move_is_refused(capsys):
    """Ours: a relative path would mean another folder elsewhere, and the judge would find no rows in it."""
    Path("etude.toml").write_text('sealed = "vault"\n')

    assert run(["cursor"]) == 2
    assert f"write {str(Path.cwd() / 'vault')!r}" in capsys.readouterr().err


def test_places_are_those_of_each_system():
    """Ours: as each client documents them."""
    desktop, code, home = CLIENTS["claude-desktop"], CLIENTS["vscode"], Path.home()
    mac = home / "Library/Application Support"
    assert desktop.place("user", {}, "darwin") == mac / "Claude/claude_desktop_config.json"
    assert desktop.place("user", {"APPDATA": "/data"}, "win32") == Path("/data/Claude/claude_desktop_config.json")
    assert code.place("user", {}, "linux") == home / ".config/Code/User/mcp.json"
    assert [CLIENTS[name].place("project", {}) for name in ("claude-code", "cursor", "vscode", "vibe")] == [
        Path(".mcp.json"),
        Path(".cursor/mcp.json"),
        Path(".vscode/mcp.json"),
        Path(".vibe/config.toml"),
    ]


def test_a_client_that_was_moved_is_found():
    """Ours: by the variable by which each client is told to keep its files elsewhere."""
    moved = {"CLAUDE_CONFIG_DIR": "/c", "VIBE_HOME": "/v", "XDG_CONFIG_HOME": "/x"}
    assert CLIENTS["claude-code"].place("user", moved) == Path("/c/.claude.json")
    assert CLIENTS["claude-code"].skill_place("user", moved) == Path("/c/skills/etude")
    assert CLIENTS["vibe"].place("user", moved) == Path("/v/config.toml")
    assert CLIENTS["claude-desktop"].place("user", moved, "linux") == Path("/x/Claude/claude_desktop_config.json")


@pytest.mark.parametrize("client", WITH_FILE)
def test_writing_twice_changes_nothing_the_second_time(client: str, capsys):
    """Ours: the same configuration again says so, and leaves no backup."""
    assert run([client, "--write"]) == 0
    file = Path(capsys.readouterr().out.strip())
    first = file.read_bytes()

    assert run([client, "--write"]) == 0

    assert "is up to date; nothing was written" in capsys.readouterr().err
    assert file.read_bytes() == first and [one.name for one in file.parent.glob("*.bak")] == []


def test_what_was_there_stays_as_it_was_written(capsys):
    """Ours: comments, other servers and keys, tabs, line ends, the mark at the start, the mode and the link."""
    text = '\ufeff{\r\n\t// mine\r\n\t"mcpServers": {\r\n\t\t"other": {"command": "x"}, // keep\r\n\t},\r\n'
    text += '\t"n": 1.50\r\n}'
    file = mcp_json(text)
    file.rename("real.json")
    Path("real.json").chmod(0o640)
    file.symlink_to(Path("../real.json"))

    assert run(["cursor", "--write", "--scope", "project"]) == 0

    new = file.read_bytes().decode()
    assert new.startswith(text[: text.index(" // keep")]) and new.endswith('\r\n\t},\r\n\t"n": 1.50\r\n}')
    assert "// keep\r\n\t\t" in new and new.count("\n") == new.count("\r\n")
    assert file.is_symlink() and stat.S_IMODE(Path("real.json").stat().st_mode) == 0o640
    [kept] = Path().glob("real.json.*.bak")
    assert kept.read_bytes().decode() == text and stat.S_IMODE(kept.stat().st_mode) == 0o640
    assert str(kept.resolve()) in capsys.readouterr().err


def test_a_file_of_toml_keeps_its_comments_and_tables():
    """Ours: an unused list, comments, and what stands behind stay where they are."""
    text = (
        '# mine\nactive_model = "m" # this one\n\n[[mcp_servers]]\nname = "other"\ntransport = "http"\nurl = "u" # u\n'
    )
    Path("config.toml").write_text(text + "\n[tools.bash]\npermission = 'ask'\n")

    assert run(["vibe", "--write", "--file", "config.toml", "--wandb", "stand-in"]) == 0

    new = Path("config.toml").read_text()
    assert new.startswith(text) and new.endswith("\n[tools.bash]\npermission = 'ask'\n")
    assert [one["name"] for one in tomllib.loads(new)["mcp_servers"]] == ["other", "etude", "wandb-stand-in"]


@pytest.mark.parametrize("text", ["mcp_servers = []\nx = 1\n", 'mcp_servers = [{name = "other", url = "u"}] # c\n'])
def test_a_list_on_one_line_is_taken_as_it_is(text: str):
    """Bug: Vibe writes an empty list, into which a table cannot be put."""
    Path("config.toml").write_text(text)

    assert run(["vibe", "--write", "--file", "config.toml", "--wandb", "stand-in"]) == 0

    names = [one["name"] for one in tomllib.loads(Path("config.toml").read_text())["mcp_servers"]]
    assert names[-2:] == ["etude", "wandb-stand-in"] and len(names) == 2 + text.count("other")


@pytest.mark.parametrize(
    "args",
    [
        ["-k", "hunter"],
        ["-u", "me:hunter"],
        ["me:hunter"],
        ["--pass", "hunter"],
        ["--credential=hunter"],
        ["GITHUB_PAT=hunter"],
        ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJodW50ZXIifQ.hunter"],
        ["https://hooks.example.org/s/T0hunter0123456789ab/mcp"],
        ["sk-hunter-0123456789"],
    ],
)
def test_no_secret_of_somebody_elses_entry_is_shown(args: list[str], capsys):
    """Bug: short options, pairs, signed tokens and addresses that are a password stood in the difference."""
    mcp_json(
        json.dumps({"mcpServers": {"etude": {"command": "node", "args": ["server.js", *args, "--port", "80:90"]}}})
    )

    assert run(["cursor", "--write", "--scope", "project"]) == 1

    said = capsys.readouterr().err
    assert "hunter" not in said and "server.js" in said and "80:90" in said


@pytest.mark.parametrize("name", ["etude", "wandb"])
def test_only_an_entry_of_our_name_is_ours_because_it_leads_to_this_machine(name: str, monkeypatch):
    """Ours: a server of somebody else's on this machine, without a token, is not ours for that."""
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    mcp_json(json.dumps({"mcpServers": {name: {"url": "http://127.0.0.1:9/mcp"}}}))

    code = run(["cursor", "--write", "--scope", "project", "--url", "http://127.0.0.1:8321/mcp"])

    assert code == (0 if name == "etude" else 1)


def test_an_entry_of_somebody_elses_is_shown_and_left_alone(capsys):
    """Ours: exit code 1, what differs, and no value of theirs that may be a secret."""
    theirs = {
        "command": "node",
        "args": [
            *("s.js", "--api-key", SECRET, f"--token={SECRET}", f"https://u:{SECRET}@h/?k={SECRET}", "-p", SECRET),
            *("-H", f"Authorization: Bearer {SECRET}", "sh", "-c", f"API_KEY={SECRET} run", "--auth", "short"),
        ],
        "env": {"K": SECRET},
        "headers": {"Authorization": f"Bearer {SECRET}"},
        "odd": [SECRET],
    }
    file = mcp_json(json.dumps({"mcpServers": {"etude": theirs}}))
    before = file.read_bytes()

    code = run(["cursor", "--write", "--scope", "project"])

    shown = capsys.readouterr()
    assert (code, shown.out, file.read_bytes()) == (1, "", before)
    assert '-  "command": "node"' in shown.err and "--replace" in shown.err
    assert SECRET not in shown.err and '"short"' not in shown.err

    assert run(["cursor", "--write", "--scope", "project", "--replace"]) == 0
    assert parsed("cursor", file.read_text())["etude"]["args"][0] == "serve"
    [kept] = file.parent.glob("*.bak")
    assert kept.read_bytes() == before and SECRET not in capsys.readouterr().err


@pytest.mark.parametrize("client", ["cursor", "vibe"])
def test_our_own_entry_is_brought_up_to_date_with_what_was_added_to_it(client: str, capsys):
    """Ours: another artifacts folder is written; a switch, a list and a variable of the person's stay."""
    run([client, "--write", "--file", "f", "--wandb", "none"])
    text = Path("f").read_text()
    if client == "vibe":
        Path("f").write_text(text + 'disabled = true # for now\nenv = { MINE = "1" }\n')
    else:
        servers = json.loads(text)
        servers["mcpServers"]["etude"] |= {"disabled": True, "env": {"MINE": "1", "HF_TOKEN": "${env:HF_TOKEN}"}}
        Path("f").write_text(json.dumps(servers))

    assert run([client, "--write", "--file", "f", "--wandb", "none", "--artifacts", "new"]) == 0

    entry = parsed(client, Path("f").read_text())["etude"]
    assert f"--artifacts={Path('new').resolve()}" in entry["args"]
    assert (entry["disabled"], entry["env"]) == (True, {"MINE": "1"})
    assert "brought up to date" in capsys.readouterr().err


@pytest.mark.parametrize("client", ["claude-desktop", "claude-code"])
def test_the_loop_itself_reads_what_was_written(client: str, monkeypatch):
    """Ours: `etude cycle --mcp FILE` takes the file of a client, references included."""
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    run([client, "--write", "--file", "f"])

    endpoints = read_endpoints(Path("f"), {"WANDB_API_KEY": SECRET})

    assert list(endpoints) == ["etude", "wandb"]
    assert SECRET in str(endpoints) or client == "claude-desktop"


@pytest.mark.parametrize("client", WITH_FILE)
def test_our_own_entry_follows_to_another_address(client: str):
    """Ours: what Étude's token opens is ours, so it is renewed without being asked."""
    assert run([client, "--write", "--file", "f", "--url", "https://old.example.org"]) == 0
    assert run([client, "--write", "--file", "f", "--url", "https://new.example.org"]) == 0
    assert "old.example.org" not in Path("f").read_text()
    assert run([client, "--write", "--file", "f"]) == 0
    assert "new.example.org" not in Path("f").read_text()


@pytest.mark.parametrize(
    ("client", "text", "said"),
    [
        ("cursor", '{"mcpServers": {\n  "a": {"command" "x"}}}', "line 2, column 19: a colon is missing"),
        ("cursor", '{"mcpServers": {"a": 1}', "line 1, column 24: the text ends here"),
        ("cursor", '{"mcpServers": []}', "'mcpServers' is no object"),
        ("cursor", '{"mcpServers": {}, "mcpServers": {}}', "stands there twice"),
        ("cursor", "[" * 5000, "more than 100 deep"),
        ("cursor", "[1]", "no object in braces"),
        ("claude-desktop", "{\n// mine\n}", "does not read"),
        ("vscode", '{"inputs": {}, "servers": {}}', "'servers'"),
        ("vibe", "[a]\nb = \n", "line 2"),
        ("vibe", "mcp_servers = 3\n", "no list of tables"),
        ("vibe", '[[mcp_servers]]\nname = "a"\n[[mcp_servers]]\nname = "a"\n', "twice"),
    ],
)
def test_a_damaged_file_is_refused_with_its_place_and_left_alone(
    client: str, text: str, said: str, capsys, monkeypatch
):
    """Ours: nothing is guessed about what somebody meant."""
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    Path("f").write_text(text)

    code = run([client, "--write", "--file", "f"])

    shown = capsys.readouterr()
    if client == "vscode":
        said = "'inputs' is no list"
    assert (code, shown.out, Path("f").read_text(), sorted(p.name for p in Path().iterdir())) == (2, "", text, ["f"])
    assert said in shown.err and "nothing was written" in shown.err


def test_a_link_to_itself_is_refused(capsys):
    """Ours: one line, as for any file that cannot be read."""
    Path("f").symlink_to("f")

    assert run(["cursor", "--write", "--file", "f"]) == 2
    assert capsys.readouterr().err.startswith("etude client-config: cannot read 'f'")


def test_bytes_that_are_no_text_are_refused(capsys):
    """Ours: a file in another encoding is not rewritten in ours."""
    Path("f").write_bytes('{"a": "é"}'.encode("utf-16"))

    assert run(["cursor", "--write", "--file", "f"]) == 2
    assert "no UTF-8" in capsys.readouterr().err


def test_a_file_that_changed_meanwhile_is_left_to_whoever_changed_it():
    """Ours: clients write their files themselves."""
    file = mcp_json("{}")
    was = text_file.read(file)
    file.write_text('{"theirs": 1}')

    with pytest.raises(ValueError, match="changed while"):
        text_file.replace(was, '{"ours": 1}')

    assert file.read_text() == '{"theirs": 1}'
    assert not list(file.parent.glob(".mcp.json.*"))


def test_a_skill_goes_where_the_client_looks_for_it(home: Path, capsys):
    """Ours: once; what somebody changed in it is replaced only when asked."""
    words = ["claude-code", "--write", "--skill", "--scope", "user"]
    assert run(words) == 0
    file = home / ".claude" / "skills" / "etude" / "SKILL.md"
    assert file.read_text().startswith("---\nname: etude\n")
    assert run(words) == 0 and "SKILL.md is up to date" in capsys.readouterr().err

    file.write_text("mine")
    assert run(words) == 2 and file.read_text() == "mine"
    assert run([*words, "--replace"]) == 0 and file.read_text() != "mine"


def with_keys(file: Path, names: str) -> subprocess.CompletedProcess[str]:
    shows = [sys.executable, "-c", "import os; print(os.environ.get('A'), os.environ.get('B'))"]
    words = [sys.executable, "-m", "servers.clients.with_keys", str(file), names, "--", *shows]
    return subprocess.run(words, capture_output=True, text=True, timeout=30, env={"PATH": os.environ["PATH"]})


def test_a_command_gets_the_keys_that_are_named_and_no_other(tmp_path: Path):
    """Ours: the W&B server needs no key of Mistral's."""
    file = tmp_path / "keys.env"
    file.write_text('A="one"\nB=two\n')
    file.chmod(0o600)

    done = with_keys(file, "A")

    assert (done.returncode, done.stdout) == (0, "one None\n"), done.stderr


@pytest.mark.parametrize(
    ("mode", "names", "said"),
    [(0o644, "A", "others may read"), (0o600, "A,C", "has no line C="), (None, "A", "No such")],
)
def test_a_keys_file_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, mode: int | None, names: str, said: str
):
    """Ours: with what to do, and without a value."""
    file = tmp_path / "keys.env"
    if mode is not None:
        file.write_text(f"A={SECRET}\n")
        file.chmod(mode)

    done = with_keys(file, names)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr and SECRET not in done.stderr


def test_the_command_hands_it_over_with_all_its_options(capsys):
    """Ours: `etude client-config` is one command among the others, and in their help."""
    words = [sys.executable, "-c", "from agent.cli import main; main()"]
    done = subprocess.run([*words, "client-config", "cursor"], capture_output=True, text=True, timeout=30)
    told = subprocess.run([*words, "--help"], capture_output=True, text=True, timeout=30)

    assert list(json.loads(done.stdout)["mcpServers"]) == ["etude"], done.stderr
    assert "client-config" in told.stdout
