"""The pages by their keys: found, made from disk, and kept until something on disk changes.

What was read and made is kept for as long as the stamp of the folder stays the same. Pages of jobs are made anew every
time, because whether a job lives stands in no file.
"""

import threading
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from servers.core.services import Services
from servers.core.task import Task
from servers.core.workspace import Workspace, checked_name
from servers.playbook.site import rendering
from servers.playbook.site.addresses import HOME, PLAYBOOK, Link, NoSuchPage, parts_of
from servers.playbook.site.archive import Archive
from servers.playbook.site.guard import Stamp, stamp_of
from servers.playbook.site.pages import Page
from servers.playbook.site.pages.dataset import dataset_page, version_page
from servers.playbook.site.pages.failure import failure_page, failure_traces, failures_page
from servers.playbook.site.pages.home import home_page
from servers.playbook.site.pages.job import job_page
from servers.playbook.site.pages.model import model_page
from servers.playbook.site.pages.playbook import playbook_page

ALIVE = "jobs"
MOST_KEPT = 500  # pages; more than that and the oldest go


class Site:
    """All pages of one artifacts folder.

    Args:
        workspace: The artifacts folder.
        task: The task of the command line.
        services: Where the budget's limit stands.
        is_served: Whether a server answers for it: only then can it be searched.
    """

    def __init__(self, workspace: Workspace, task: Task, services: Services, is_served: bool = True) -> None:
        self._workspace, self._task, self._services = workspace, task, services
        self._is_served = is_served
        self._stamp: Stamp | None = None
        self._archive = self._new_archive()
        self._kept: dict[str, str] = {}
        self._lock = threading.Lock()  # one page at a time: making one reads hundreds of files

    @property
    def root(self) -> Path:
        """The artifacts folder, in full."""
        return self._workspace.root.resolve()

    def page(self, key: str, link: Link, query: str = "") -> str:
        """The page of a key as HTML.

        Args:
            key: Such as `cycles/cycle_1`; empty for the first page.
            link: How the page links to others.
            query: Words to look for, in the playbook.

        Raises:
            NoSuchPage: there is none; the message says why.
            ValueError: a file that it is made from is damaged, or leads out of the folder; the message names it.
        """
        parts = parts_of(key)
        with self._lock:
            self._look()
            if query:  # anybody's words: what is found for them is not kept
                return self._made(parts, link, query)
            if (html := self._kept.get(key)) is not None and parts[:1] != [ALIVE]:
                return html
            html = self._kept[key] = self._made(parts, link, query)
            while len(self._kept) > MOST_KEPT:
                self._kept.pop(next(iter(self._kept)))
        return html

    def every_key(self) -> Iterator[str]:
        """Every page that can be reached from the first one."""
        with self._lock:
            self._look()
        archive = self._archive
        yield HOME
        yield PLAYBOOK
        for line in archive.lines:
            yield f"cycles/{line.cycle}"
            yield f"failures/{line.cycle}"
            yield from (f"failures/{line.cycle}/{trace}" for trace in failure_traces(archive, line.cycle))
        for name in archive.names:
            yield f"datasets/{name}"
            yield from (f"datasets/{name}/{card.fingerprint}" for card in archive.datasets.versions(name))
        for job in archive.all_jobs:
            yield f"jobs/{job.job_id}"
            yield from (f"models/{model}" for model in job.models if job.kind == "train")

    def _look(self) -> None:
        """Forget everything if something on disk has changed."""
        stamp = stamp_of(self._workspace)
        if stamp != self._stamp:
            self._stamp, self._archive = stamp, self._new_archive()
            self._kept.clear()

    def _new_archive(self) -> Archive:
        return Archive(self._workspace, self._task, self._services)

    def _made(self, parts: list[str], link: Link, query: str) -> str:
        archive = self._new_archive() if parts[:1] == [ALIVE] else self._archive
        try:
            if parts[:1] == ["cycles"] and len(parts) == 2:
                return rendering.cycle_html(archive, _known_cycle(archive, parts[1]), link)
            return rendering.page_html(self._page(archive, parts, link, query), link, self._is_served)
        except ValidationError as error:
            # Its words would quote what the file holds, and that may be anything.
            raise ValueError(f"a file of this page is no valid {error.title}; restore it") from None

    def _page(self, archive: Archive, parts: list[str], link: Link, query: str) -> Page:
        match parts:
            case []:
                return home_page(archive, link)
            case ["playbook"]:
                return playbook_page(archive, query)
            case ["datasets", name]:
                return dataset_page(archive, _one_of(archive.names, name, "dataset"))
            case ["datasets", name, version]:
                versions = [
                    card.fingerprint for card in archive.datasets.versions(_one_of(archive.names, name, "dataset"))
                ]
                return version_page(archive, name, _one_of(versions, version, f"version of {name}"))
            case ["models", model]:
                made = [model for job in archive.all_jobs for model in job.models]
                return model_page(archive, _one_of(made, model, "model"))
            case ["failures", cycle]:
                return failures_page(archive, _known_cycle(archive, cycle))
            case ["failures", cycle, trace]:
                return failure_page(archive, _known_cycle(archive, cycle), trace)
            case ["jobs", job]:
                return job_page(archive, _one_of([one.job_id for one in archive.all_jobs], job, "job"))
        raise NoSuchPage("there is no page at this address")


def _known_cycle(archive: Archive, cycle: str) -> str:
    return _one_of([line.cycle for line in archive.lines], cycle, "cycle")


def _one_of(known: list[str], name: str, what: str) -> str:
    if checked_name(name, what) not in known:
        raise NoSuchPage(f"there is no {what} {name!r}; known: {', '.join(known[-8:]) or 'none'}")
    return name
