"""Artifacts with a held beginning and an open cycle, the site over them as a process, and a walk over all its pages."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urldefrag, urljoin, urlsplit

import anyio
import httpx2

from servers.core.services import Services
from servers.core.workspace import Workspace
from servers.playbook.site.site import Site
from servers.playbook.site.web import application
from tests.doubles.loopback import LoopbackServer
from tests.judge_world import KOTONE, gate
from tests.workshop import Workshop

ENDS_WITHIN_S = 20
HOSTILE = '"><script>alert(origin)</script><img src=x onerror=alert(origin)>\u202e{{ title }}'


def close_held(folder: Path) -> None:
    """Judge the candidate of 'mine', which is held, and close the cycle; then open the next one."""

    async def work() -> None:
        assert (await gate(folder))["outcome"] != "promote"
        async with Workshop(folder) as shop:
            await shop.call("promote_model", cycle="begin_mine", candidate="constant")
            lesson = {"title": f"A lesson {HOSTILE}", "text": f"Wild and calm say something {HOSTILE}", "claims": []}
            await shop.call("write_playbook", cycle="begin_mine", remedies=[], lessons=[lesson])
            await shop.call("write_report", cycle="begin_mine")
            await shop.call("open_cycle", dataset="mine")
            await shop.call("evaluate_model", cycle="cycle_1", model="constant")

    anyio.run(work)


@contextmanager
def serving(folder: Path, *words: str, environment: Mapping[str, str] = MappingProxyType({})) -> Iterator[str]:
    """The address of the site over `folder`, which a process serves; it is ended as a person would, by Ctrl-C."""
    process = start(folder, *words, "--port", "0", environment=environment)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        assert stop(process) == (0, "")


def site_over(folder: Path, is_served: bool = True) -> Site:
    return Site(Workspace(folder), KOTONE, Services(), is_served)


@contextmanager
def serving_here(folder: Path) -> Iterator[str]:
    """The same from a thread of this process, which takes no second to start."""
    server = LoopbackServer(application(site_over(folder)))
    try:
        yield server.start() + "/"
    finally:
        server.stop()


def start(folder: Path, *words: str, environment: Mapping[str, str] = MappingProxyType({})) -> "subprocess.Popen[str]":
    """The command as a process, in this environment and what is added to it."""
    command = [sys.executable, "-m", "agent.cli", "report", *words, "--serve", "--artifacts", str(folder)]
    env = {**os.environ, **environment}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def stop(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """End it by Ctrl-C: the exit code, and what it said besides the line that it began with."""
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=ENDS_WITHIN_S)
    return process.returncode, "".join(line for line in said.splitlines() if "Ctrl-C ends it" not in line)


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: "list[tuple[str, str | None]]") -> None:
        given = dict(attrs)
        if tag == "a" and given.get("href"):
            self.found.append(str(given["href"]))
        if given.get("id"):
            self.ids.add(str(given["id"]))


def links_of(html: str) -> list[str]:
    parser = _Links()
    parser.feed(html)
    return parser.found


def ids_of(html: str) -> set[str]:
    parser = _Links()
    parser.feed(html)
    return parser.ids


def crawl(address: str) -> dict[str, httpx2.Response]:
    """Every page that can be reached from the first one, by its path."""
    found: dict[str, httpx2.Response] = {}
    waiting = [address]
    with httpx2.Client() as client:
        while waiting:
            place = waiting.pop()
            if (path := urlsplit(place).path) in found:
                continue
            found[path] = client.get(place)
            for link in links_of(found[path].text):
                target = urldefrag(urljoin(place, link)).url
                if urlsplit(target).netloc == urlsplit(address).netloc:
                    waiting.append(target)
    return found


def sealed_words(folder: Path) -> set[str]:
    """Ids and texts of every sealed row."""
    files = Workspace(folder).sealed_root.glob("*/*/gate.jsonl")
    found = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    assert found, "there are no sealed rows, so nothing was looked for"
    return {row["id"] for row in found} | {row["text"] for row in found}
