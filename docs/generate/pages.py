"""Which pages are generated, and by what."""

from collections.abc import Callable

from docs.generate.commands import commands_page
from docs.generate.files import files_page
from docs.generate.metrics import metrics_page
from docs.generate.settings import configuration_page, task_page
from docs.generate.tools import offers_page, tools_page

PAGES: dict[str, Callable[[], str]] = {
    "tools": tools_page,
    "prompts-and-resources": offers_page,
    "metrics": metrics_page,
    "configuration": configuration_page,
    "task-file": task_page,
    "files": files_page,
    "commands": commands_page,
}
