"""From what a page shows to HTML: the report's own style sheet and pieces, a bar that leads to the other pages."""

from functools import cache
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, FileSystemLoader
from markupsafe import Markup

from servers import VERSION
from servers.playbook.report import render
from servers.playbook.reprints import page_of
from servers.playbook.site.addresses import HOME, PLAYBOOK, Link
from servers.playbook.site.archive import Archive
from servers.playbook.site.pages import Page

HERE = Path(__file__).parent


def page_html(page: Page, link: Link, is_served: bool) -> str:
    """A page of the site.

    Args:
        page: What it shows.
        link: How it links to others.
        is_served: Whether a server answers: only then is there a form to search with.
    """
    values = {"title": page.title, "version": VERSION, "is_served": is_served, "link": link}
    return (
        _environment()
        .get_template(page.template)
        .render(
            **render.style_sheet(render.HERE / "page.css", HERE / "templates" / "site.css"),
            navigation=_bar(link, [], page.template),
            **values,
            **page.values,
        )
    )


def cycle_html(archive: Archive, cycle: str, link: Link) -> str:
    """The report of a cycle, with the bar above it.

    Raises:
        ValueError: nobody knows the cycle's task, or a file of it is damaged.
    """
    line = archive.line(cycle)
    assert line is not None  # the caller looked
    dataset = line.opening.dataset
    task = archive.task_of(dataset)
    if task is None:
        raise ValueError(f"{cycle} worked on task {archive.heads[dataset].task!r}; give its file with --task")
    others = [one.cycle for one in archive.lines_of(dataset)]
    place = others.index(cycle)
    around = []
    if place > 0:
        around.append((f"← {others[place - 1]}", f"cycles/{others[place - 1]}"))
    if place + 1 < len(others):
        around.append((f"{others[place + 1]} →", f"cycles/{others[place + 1]}"))
    around.append(("its failures, row by row", f"failures/{cycle}"))
    around.append(("its data", f"datasets/{dataset}/{line.version_after or line.opening.dataset_version}"))
    if line.candidate and line.candidate in [model for job in archive.all_jobs for model in job.models]:
        around.append(("its candidate", f"models/{line.candidate}"))
    return page_of(archive.workspace, task, archive.services, cycle, _bar(link, around, "cycle"))


def error_html(title: str, words: str, link: Link, is_served: bool = True) -> str:
    """What stands where no page is."""
    return page_html(Page("error.html.j2", title, {"words": words}), link, is_served)


def _bar(link: Link, around: list[tuple[str, str]], here: str) -> Markup:
    """The bar at the top of every page."""
    always = [("Étude", HOME, "home.html.j2"), ("Playbook", PLAYBOOK, "playbook.html.j2")]
    entries = [(words, link(key), here == template) for words, key, template in always]
    entries[1:1] = [(words, link(key), False) for words, key in around]
    return Markup(_environment().get_template("bar.html.j2").render(entries=entries))


@cache
def _environment() -> Environment:
    """The report's own, with our templates before its pieces."""
    folders = ChoiceLoader([FileSystemLoader(HERE / "templates"), FileSystemLoader(render.HERE)])
    return render.environment().overlay(loader=folders)
