"""Turns a view into the report: one HTML file that loads nothing and runs nothing.

Every word goes through `_shown` and is then escaped; pictures escape their own (`charts/drawing.py`). The page carries
a policy that lets the browser load nothing and apply one style sheet, named by its hash, so that even markup that
slipped in could do nothing. It is written to be valid XML as well, which is what the tests hold it to.
"""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from servers.core.phrases import counted, sentence
from servers.core.words import cleaned
from servers.playbook.report import wording
from servers.playbook.report.cases import cases_of
from servers.playbook.report.pictures import pictures_of
from servers.playbook.report.view import ReportView

HERE = Path(__file__).parent
MAX_CHARS = 1500  # of any text on the page; longer ones end in an ellipsis
QUOTE_CHARS = 500  # of a request that is quoted
MOST_ROWS = 60  # of a table that grows with the work: history, remedies


def render_html(view: ReportView, navigation: str = "") -> str:
    """The report of one cycle as one HTML document.

    Args:
        view: All that it shows.
        navigation: Markup that stands above it where it is one of several pages.
    """
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            navigation=Markup(navigation),
            view=view,
            **style_sheet(HERE / "page.css"),
            headline=wording.headline(view),
            pictures=pictures_of(view),
            cases=cases_of(view),
            refused=[row for row in view.ledger if row.errors],
            most_rows=MOST_ROWS,
            fine=view.digits,
            rough=max(view.digits - 1, 0),  # for one row's error, which is no mean
        )
    )


@cache
def style_sheet(*files: Path) -> dict[str, str]:
    """What a page is styled by, and its hash for the policy."""
    style = "\n".join(file.read_text(encoding="utf-8") for file in files)
    return {"style": Markup(style), "style_hash": b64encode(sha256(style.encode()).digest()).decode()}


@cache
def environment() -> Environment:
    """What every page is rendered with: words are cleaned, bounded and escaped."""
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": wording.number,
        "figure": wording.figure,
        "signed": wording.signed,
        "percent": wording.percent,
        "interval": wording.interval,
        "estimate": wording.estimate,
        "money": wording.money,
        "p_value": wording.p_value,
        "time": wording.seconds,
        "plural": counted,
        "sentence": sentence,
        "check_words": wording.check_words,
        "quote": lambda text: cleaned(text[: 4 * QUOTE_CHARS], QUOTE_CHARS),
    }
    environment.globals["HEADINGS"] = wording.HEADINGS
    return environment


def _shown(value: Any) -> Any:
    """What an expression of the template leaves on the page, before it is escaped."""
    if value is None:
        return wording.UNKNOWN
    if isinstance(value, str) and not isinstance(value, Markup):
        return cleaned(value[: 4 * MAX_CHARS], MAX_CHARS)  # cut first: a text may be megabytes long
    return value
