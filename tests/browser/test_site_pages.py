"""The site over all cycles, in a browser: every kind of page, its links, its search, and words that mean harm."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from servers.core.services import Services
from servers.core.workspace import Workspace
from servers.playbook.site.command import write_site
from servers.playbook.site.site import Site
from tests.browser import checks
from tests.browser.chromium import DESK, PAPER, PHONE, PHONE_AT_NIGHT, Chromium, Seen
from tests.judge_world import KOTONE
from tests.site_world import crawl, serving_here
from tests.workshop import Workshop

KINDS = ["", "cycles", "datasets", "versions", "failures", "rows", "jobs", "models", "playbook"]
HARM = '</th></svg></title><script>alert(1)</script><img src=x onerror="alert(2)">\u202eback " onfocus=alert(3) x="'


@pytest.fixture(scope="session")
def places(site: str) -> dict[str, str]:
    """One address of each kind of page: the first that was found."""
    found: dict[str, str] = {}
    for path in sorted(crawl(site)):
        parts = path.strip("/").split("/")
        kind = {("datasets", 3): "versions", ("failures", 3): "rows"}.get((parts[0], len(parts)), parts[0])
        found.setdefault(kind, site.rstrip("/") + path)
    return found


@pytest.mark.parametrize("seen", [DESK, PHONE_AT_NIGHT], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_page_is_whole_and_readable(browser: Chromium, places: dict[str, str], kind: str, seen: Seen):
    """Ours: no console errors, every picture drawn, words for those who cannot see, contrast, nothing sideways."""
    browser.open(places[kind], seen)

    assert checks.problems(browser) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_page_can_be_printed(browser: Chromium, places: dict[str, str], kind: str):
    """Ours: on paper nothing is cut off."""
    browser.open(places[kind], PAPER)

    assert checks.lost_on_paper(browser) == [] and browser.paper().startswith(b"%PDF-")


@pytest.mark.parametrize("kind", ["", "failures", "playbook"])
def test_links_lead_somewhere_and_the_keyboard_reaches_them(browser: Chromium, places: dict[str, str], kind: str):
    """Ours: every link answers, whatever takes the focus shows it."""
    browser.open(places[kind])

    assert checks.dead_links(browser) == [] and checks.unseen_focus(browser) == []


def test_the_lineage_leads_from_a_model_to_its_page(browser: Chromium, site: str):
    """Ours: each box of the picture is a link."""
    browser.open(site)
    told = browser.run("return document.querySelector('svg.lineage a[href*=\"/models/\"]').getAttribute('href');")
    browser.click('svg.lineage a[href*="/models/"]')

    assert browser.run("return document.querySelector('h1').textContent.trim();") == told.rpartition("/")[2]


def test_the_playbook_is_searched_from_its_page(browser: Chromium, site: str):
    """Ours: words and Enter; no script is needed for it."""
    browser.open(f"{site}playbook", PHONE)
    everything = browser.run("return document.querySelectorAll('main tbody tr, .lesson').length;")
    browser.type("#q", "nostalgia")

    assert browser.run("return location.search;") == "?q=nostalgia"
    assert 0 < browser.run("return document.querySelectorAll('main tbody tr, .lesson').length;") < everything
    assert checks.problems(browser) == []


def test_the_site_written_as_files_works_from_disk(browser: Chromium, demo: Path, tmp_path: Path):
    """Ours: it can be opened without a server."""
    write_site(Site(Workspace(demo), KOTONE, Services(), is_served=False), tmp_path / "site")
    browser.open((tmp_path / "site" / "index.html").as_uri())
    first = [*checks.problems(browser), *checks.dead_links(browser)]
    browser.click("table.cycles a")

    assert first == []
    assert browser.run("return location.pathname;").endswith("site/cycles/cycle_2.html")
    assert [*checks.problems(browser), *checks.dead_links(browser)] == []


@pytest.fixture
def harmed(demo: Path, tmp_path: Path) -> Iterator[str]:
    """The site over artifacts in which every text, title, log line and reason means harm, after a rollback."""
    folder = Path(shutil.copytree(demo, tmp_path / "artifacts"))

    async def roll_back() -> None:
        async with Workshop(folder) as shop:
            await shop.call("rollback_model", dataset="demo", reason="to see it drawn")

    anyio.run(roll_back)
    for file in [*folder.glob("datasets/*/*/*.jsonl"), *folder.glob("eval/runs/*/rows.jsonl")]:
        rows = [_harmful(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for file in [*folder.glob("loop/*/*.json"), *folder.glob("models/registry.json")]:
        file.write_text(json.dumps(_harmful(json.loads(file.read_text(encoding="utf-8")))), encoding="utf-8")
    for file in folder.glob("jobs/*/log.txt"):
        file.write_text(file.read_text(encoding="utf-8") + HARM + "\n", encoding="utf-8")
    with serving_here(folder) as address:
        yield address


def test_words_that_mean_harm_do_none(browser: Chromium, harmed: str):
    """Ours: texts, titles, reasons and logs come from outside; none of them becomes markup."""
    pages = crawl(harmed)
    assert {path: page.status_code for path, page in pages.items() if page.status_code != 200} == {}
    some = [path for path in pages if not path.startswith("/failures/") or path == "/failures/cycle_1"]
    rows = [path for path in pages if re.fullmatch(r"/failures/cycle_1/\w+", path)][:1]

    for path in [*some, *rows]:
        browser.open(harmed.rstrip("/") + path, PHONE)
        assert browser.alert() is None and checks.problems(browser) == [], path
        assert browser.run("return document.querySelectorAll('script, img, [onfocus], [onerror]').length;") == 0
    assert "↶ rollback" in pages["/"].text and "alert(1)" in pages["/playbook"].text


def _harmful(value: Any, name: str = "") -> Any:
    """The value with every text of a person, a model or a service replaced."""
    said = {"text", "request_text", "title", "reason", "change", "message", "words", "rationale", "parse_error"}
    if isinstance(value, dict):
        return {key: _harmful(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_harmful(inner, name) for inner in value]
    return f"{value[:20]} {HARM}" if isinstance(value, str) and name in said else value
