"""The site over all cycles: asked over HTTP as a browser asks, and written as files."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx2
import pytest

from servers.core.workspace import Workspace
from servers.playbook.site.addresses import HOME
from servers.playbook.site.command import serve, write_site
from tests.judge_world import candidate_in
from tests.site_world import (
    HOSTILE,
    close_held,
    crawl,
    ids_of,
    links_of,
    sealed_words,
    serving,
    serving_here,
    site_over,
    start,
    stop,
)

pytestmark = pytest.mark.services

LOADS = re.compile(r"<(script|link|iframe|object|img)|<[a-z][^>]*\s(src|style|on[a-z]+)=")
NO_SCRIPTS = ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'")


@pytest.fixture(scope="module")
def held(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts with a held beginning, and a cycle that is open."""
    folder = Path(shutil.copytree(trained, tmp_path_factory.mktemp("held") / "artifacts"))
    close_held(folder)
    return folder


@pytest.fixture(scope="module")
def address(held: Path) -> Iterator[str]:
    with serving_here(held) as found:
        yield found


@pytest.fixture(scope="module")
def pages(address: str) -> dict[str, httpx2.Response]:
    """Every page of it, by path."""
    return crawl(address)


def asked(address: str, path: str, method: str = "GET", host: str | None = None) -> tuple[int, str]:
    """Status and body of a request whose path goes out as it stands."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or urlsplit(address).netloc)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


def test_every_page_that_is_linked_is_there(pages: dict[str, httpx2.Response], held: Path):
    """Ours: cycles, versions, models, jobs, rows and the playbook have a page each, and no link is dead."""
    kinds = {path.split("/")[1] for path in pages}

    assert {path: page.status_code for path, page in pages.items() if page.status_code != 200} == {}
    assert kinds == {"", "cycles", "datasets", "failures", "jobs", "models", "playbook"}
    assert {"/cycles/begin_mine", "/cycles/cycle_1", f"/models/{candidate_in(held)}"} <= set(pages)
    for path, page in pages.items():
        anchors = [link[1:] for link in links_of(page.text) if link.startswith("#")]
        assert set(anchors) <= ids_of(page.text), path


def test_no_page_may_load_or_run_anything(pages: dict[str, httpx2.Response]):
    """Ours: the policy goes out as a header, so that markup that slipped in could do nothing."""
    for path, page in pages.items():
        policy = page.headers["content-security-policy"]
        assert all(part in policy for part in NO_SCRIPTS) and "unsafe" not in policy, path
        assert page.headers["x-content-type-options"] == "nosniff"
        assert not LOADS.search(page.text), (path, LOADS.search(page.text))


def test_no_sealed_row_is_on_any_page(pages: dict[str, httpx2.Response], held: Path):
    """Ours: of the sealed rows a page may say how many there are, and nothing else."""
    words = sealed_words(held)

    assert {path: word for path, page in pages.items() for word in words if word in page.text} == {}


def test_a_verdict_without_promotion_stays_sealed(pages: dict[str, httpx2.Response], held: Path):
    """Ours: the first page says in words what the gate said, and shows no difference on the sealed rows."""
    reason = json.loads((held / "loop" / "begin_mine" / "summary.json").read_text(encoding="utf-8"))["reason"]
    cells = re.findall(r"<td[^>]*>sealed</td>", pages["/"].text)

    assert len(cells) == 1 and "Undecided" in pages["/"].text and escape(reason) in pages["/"].text


@pytest.mark.parametrize(
    "path",
    [
        "/sealed/mine",
        "/../sealed",
        "/datasets/../../sealed/mine",
        "/datasets/..%2f..%2fsealed",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/datasets/mine/..",
        "//etc/passwd",
        "/jobs/%00",
        "/cycles/cycle_1/../../sealed",
        "/failures/cycle_1/%2e%2e%2f",
        "/loop/cycle_1/cycle.json",
        "/report.html",
        "/" + "x" * 5000,
    ],
)
def test_no_address_leads_out_of_the_pages(address: str, path: str, held: Path):
    """Ours: a page is found by names that were checked, never by a path."""
    status, body = asked(address, path)

    assert status == 404 and "root:" not in body
    assert not any(word in body for word in sealed_words(held))


def test_a_link_into_the_sealed_folder_is_not_followed(held: Path, tmp_path: Path):
    """Ours: whoever may write to the artifacts could lay a link, and the site may run as somebody who can read it."""
    folder = Path(shutil.copytree(held, tmp_path / "artifacts"))
    (sealed,) = Workspace(folder).sealed_root.glob("*/*/gate.jsonl")
    (log,) = folder.glob("jobs/train-*/log.txt")
    log.unlink()
    log.symlink_to(sealed)
    with serving_here(folder) as address:
        answers = [asked(address, path) for path in ("/", f"/jobs/{log.parent.name}")]

    assert [status for status, _ in answers] == [500, 500]
    assert all("a link that leads out of the artifacts folder" in body for _, body in answers)
    assert not any(word in body for word in sealed_words(folder) for _, body in answers)


def test_only_this_machine_may_ask_and_only_to_read(address: str):
    """Ours: another name in Host is a page elsewhere that points its name here (DNS rebinding)."""
    port = urlsplit(address).port

    assert asked(address, "/", host=f"localhost:{port}")[0] == 200
    assert asked(address, "/", host="evil.example")[0] == 400
    assert {
        method: asked(address, "/", method)[0] for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS")
    } == dict.fromkeys(("POST", "PUT", "DELETE", "PATCH", "OPTIONS"), 405)
    assert asked(address, "/", "HEAD") == (200, "")
    with pytest.raises(OSError), socket.create_connection((_own_address(), port or 0), timeout=2):
        pass


def test_looking_changes_nothing(held: Path, pages: dict[str, httpx2.Response], address: str):
    """Ours: the site reads; what is on disk stays as it is."""
    before = {path: path.stat().st_mtime_ns for path in held.rglob("*") if path.is_file()}
    crawl(address)

    assert {path: path.stat().st_mtime_ns for path in held.rglob("*") if path.is_file()} == before


def test_words_from_outside_stay_words(pages: dict[str, httpx2.Response]):
    """Ours: a lesson is written by a model, and is text wherever it stands."""
    playbook = pages["/playbook"].text

    assert "&lt;script&gt;alert(origin)&lt;/script&gt;" in playbook and "{{ title }}" in playbook
    assert not any(HOSTILE in page.text or "\u202e" in page.text for page in pages.values())


def test_an_open_cycle_is_shown_as_far_as_it_got(address: str, held: Path):
    """Ours: pages are made from disk when they are asked for, so a change shows at once."""
    before = httpx2.get(f"{address}cycles/cycle_1").text
    opened = held / "loop" / "cycle_1" / "cycle.json"
    text = opened.read_text(encoding="utf-8")
    try:
        opened.write_text(text.replace('"kind": "begin"', '"kind": "begin" ').replace("mine", "mine"), encoding="utf-8")
        os.utime(opened)
        again = httpx2.get(f"{address}cycles/cycle_1").text
    finally:
        opened.write_text(text, encoding="utf-8")

    assert "Still open" in before and "Still open" in again
    assert _made_at(before) != _made_at(again)


def test_the_playbook_is_searched_by_words(address: str):
    """Ours: a plain form; what fits nothing says so, and the words come back as words."""
    found = httpx2.get(f"{address}playbook", params={"q": "wild calm"}).text
    nothing = httpx2.get(f"{address}playbook", params={"q": "<b>zebra</b>"}).text

    assert "A lesson" in found and 'value="wild calm"' in found
    assert "No lesson fits these words." in nothing and "<b>zebra" not in nothing and "&lt;b&gt;zebra" in nothing


def test_what_is_not_there_says_what_is(address: str):
    """Ours: a page for every answer, with a way back."""
    missing = httpx2.get(f"{address}cycles/cycle_77")

    assert missing.status_code == 404
    assert "known: begin_mine, cycle_1" in missing.text and 'href="/"' in missing.text


def test_a_damaged_file_is_named_and_not_quoted(held: Path, tmp_path: Path):
    """Ours: what a damaged file holds may be anything, so the page says which file and no more."""
    folder = Path(shutil.copytree(held, tmp_path / "artifacts"))
    (card,) = folder.glob("datasets/mine/*/card.json")
    card.write_text('{"name": "secret words"}', encoding="utf-8")
    with serving_here(folder) as address:
        status, body = asked(address, "/datasets/mine")

    assert status == 500 and "card" in body and "secret words" not in body


def test_an_empty_folder_says_what_to_type(tmp_path: Path):
    """Ours: the first page of a new user is a beginning, not an error."""
    with serving_here(tmp_path / "nothing") as address:
        home = httpx2.get(address).text

    assert "Nothing here yet" in home and "etude cycle" in home and "etude import requests.jsonl --name mine" in home


def test_a_port_in_use_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Ours: exit code 1, what is wrong and what to type."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code = serve(site_over(tmp_path), port, HOME, opens=False)

    out, said = capsys.readouterr()
    assert code == 1 and out == ""
    assert said.count("\n") == 1 and f"port {port}" in said and "--port" in said


@pytest.mark.services
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--serve", "--port", "99999"], "is no port"),
        (["--open"], "go with --serve"),
        (["--serve", "--site", "x"], "take one of the two"),
        (["--site", "/dev/null/x"], "cannot write the site into"),
        (["cycle_9", "--serve"], "no cycle 'cycle_9'; known: none"),
    ],
)
def test_words_that_make_no_sense_are_one_line(words: list[str], said: str, tmp_path: Path):
    """Ours: usage errors are exit code 2 and say what is known."""
    command = [sys.executable, "-m", "servers.playbook", "report", *words, "--artifacts", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.returncode == 2 and done.stdout == ""
    assert said in done.stderr and "Traceback" not in done.stderr


@pytest.mark.services
def test_it_opens_the_persons_browser_on_the_cycle_that_was_named(held: Path, tmp_path: Path):
    """Ours: --open shows the address that is printed, and a browser that stays open keeps nobody waiting."""
    shown, browser = tmp_path / "shown", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {shown}\nexec sleep 9 > {os.devnull} 2>&1\n', encoding="utf-8")
    browser.chmod(0o755)
    with serving(held, "cycle_1", "--open", environment={"BROWSER": f"{browser} %s"}) as address:
        page = httpx2.get(address).text
        until = time.monotonic() + 20
        while not shown.exists() and time.monotonic() < until:
            time.sleep(0.02)

    assert address.endswith("/cycles/cycle_1") and "<title>cycle_1 · Étude</title>" in page
    assert shown.read_text(encoding="utf-8").strip() == address


def test_ctrl_c_ends_it_in_silence(tmp_path: Path):
    """Ours: ending a server by hand is its normal end."""
    process = start(tmp_path, "--port", "0")
    assert process.stdout is not None and process.stdout.readline().startswith("http://127.0.0.1:")

    assert stop(process) == (0, "")


def test_written_as_files_every_link_leads_to_a_file(held: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Ours: the same pages can be opened from disk, or put on any web server, under any path."""
    folder = tmp_path / "site"
    code = write_site(site_over(held, is_served=False), folder)
    files = {path: path.read_text(encoding="utf-8") for path in folder.rglob("*.html")}

    assert code == 0 and capsys.readouterr().out.strip() == str(folder / "index.html") and len(files) > 20
    assert not any(word in text for word in sealed_words(held) for text in files.values())
    for path, text in files.items():
        for link in links_of(text):
            place = urlsplit(link)
            assert not place.scheme and not place.path.startswith("/"), (path, link)
            assert not place.path or (path.parent / unquote(place.path)).is_file(), (path, link)
        assert "<form" not in text


@pytest.mark.parametrize("place", ["theirs", "artifacts", "artifacts/sealed", "artifacts/site"])
def test_a_site_is_written_over_nothing_that_is_not_one(place: str, held: Path, tmp_path: Path):
    """Bug: it wrote over somebody's index.html, and among the artifacts."""
    shutil.copytree(held, tmp_path / "artifacts")
    folder = tmp_path / place
    folder.mkdir(exist_ok=True)
    if place == "theirs":
        (folder / "index.html").write_text("mine")
    before = sorted(str(path) for path in tmp_path.rglob("*"))

    with pytest.raises(ValueError, match="give a"):
        write_site(site_over(tmp_path / "artifacts", is_served=False), folder)

    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


def test_a_site_is_written_again_where_it_was(held: Path, tmp_path: Path):
    """Ours: the second call brings it up to date."""
    for _ in range(2):
        assert write_site(site_over(held, is_served=False), tmp_path / "site") == 0


def _made_at(html: str) -> str:
    return html.rpartition("<time datetime=")[2][:30]


def _own_address() -> str:
    """This machine's address on its network; one that nobody has where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.2"
        return str(probe.getsockname()[0])
