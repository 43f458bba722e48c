"""What the playbook server gives to read: cycles, their reports and decisions, and what was learned."""

from collections.abc import Callable, Iterable

from servers.core.cycle_files import is_closed
from servers.core.dataset import DatasetStore
from servers.core.services import Services
from servers.core.task import Task
from servers.core.workspace import Workspace
from servers.playbook.cycles import all_cycles
from servers.playbook.pages import cycle_page, cycles_page, playbook_page, whole_playbook
from servers.playbook.reprints import draft_of, page_of
from servers.shelf import HTML, MARKDOWN, Document, There, changed

ONLY_CLOSED = "a cycle that is open has none yet, and etude://cycles/{cycle} says where it stands"


def documents(workspace: Workspace, task: Task, services: Services) -> list[Document]:
    """All of them, for one artifacts folder."""
    datasets = DatasetStore(workspace)

    def cycles(
        words: str, *files: str, closed: bool = False, of_task: bool = False, as_it_lies: bool = False
    ) -> Callable[[], Iterable[There]]:
        """The cycles that have a document, newest first; without `files`, all. `as_it_lies`: its size is known."""

        def there() -> Iterable[There]:
            for opened in reversed(all_cycles(workspace)):
                folder = workspace.cycle_dir(opened.cycle)
                if closed and not is_closed(workspace, opened.cycle):
                    continue
                if of_task and datasets.card(opened.dataset, opened.dataset_version).task != task.name:
                    continue
                found = [folder / name for name in files] or list(folder.glob("*.json"))
                if all(file.exists() for file in found):
                    size = found[0].stat().st_size if as_it_lies else None
                    yield There({"cycle": opened.cycle}, words.format(cycle=opened.cycle), changed(*found), size)

        return there

    def cycles_file(cycle: str) -> str:
        return (workspace.cycle_dir(cycle) / "decision_log.md").read_text(encoding="utf-8")

    one = "etude://cycles/{cycle}"
    return [
        Document(
            "etude://cycles",
            "cycles",
            "All cycles",
            "Every cycle with its verdict, newest first.",
            MARKDOWN,
            there=lambda: [There({}, "All cycles")],
            read=lambda: cycles_page(workspace),
            priority=0.8,
        ),
        Document(
            "etude://playbook",
            "playbook",
            "Playbook of all cycles",
            "What was learned, and what each way of making a candidate did.",
            MARKDOWN,
            there=lambda: [There({}, "Playbook of all cycles")],
            read=lambda: whole_playbook(workspace),
            priority=0.7,
        ),
        Document(
            one,
            "state",
            "Where a cycle stands",
            "What is done, and which calls come next.",
            MARKDOWN,
            there=cycles("{cycle}: where it stands"),
            read=lambda cycle: cycle_page(workspace, task, services, cycle),
            priority=0.9,
            where_missing="open_cycle opens one",
        ),
        Document(
            f"{one}/report",
            "report",
            "Report of a cycle",
            "The whole cycle in Markdown: results, hard cases, lessons, files.",
            MARKDOWN,
            there=cycles("{cycle}: report", "summary.json", closed=True, of_task=True),
            read=lambda cycle: draft_of(workspace, task, services, cycle),
            priority=0.6,
            where_missing=ONLY_CLOSED,
        ),
        Document(
            f"{one}/report.html",
            "report.html",
            "Report of a cycle, with pictures",
            "The page that etude report opens, in one file.",
            HTML,
            there=cycles("{cycle}: report with pictures", "summary.json", closed=True, of_task=True),
            read=lambda cycle: page_of(workspace, task, services, cycle),
            priority=0.4,
            audience=("user",),
            where_missing=ONLY_CLOSED,
        ),
        Document(
            f"{one}/playbook",
            "playbook",
            "Playbook of a cycle",
            "What was changed for which failure, and what was learned.",
            MARKDOWN,
            there=cycles("{cycle}: playbook", "playbook.json"),
            read=lambda cycle: playbook_page(workspace, cycle),
            where_missing="write_playbook begins one",
        ),
        Document(
            f"{one}/decisions",
            "decisions",
            "Decisions of a cycle",
            "What was decided, by whom, and on what numbers.",
            MARKDOWN,
            there=cycles("{cycle}: decisions", "decision_log.md", "summary.json", closed=True, as_it_lies=True),
            read=cycles_file,
            where_missing=ONLY_CLOSED,
        ),
    ]
