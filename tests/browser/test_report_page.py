"""The report of a cycle, opened from disk as a reader would: at a desk and on a phone, by day and night, on paper."""

import re

import pytest

from tests.browser import checks
from tests.browser.chromium import DESK, NIGHT, PAPER, PHONE, PHONE_AT_NIGHT, WITHOUT_SCRIPTS, Chromium, Seen


@pytest.mark.parametrize("seen", [DESK, NIGHT, PHONE, PHONE_AT_NIGHT], ids=str)
def test_the_report_is_whole_and_readable(browser: Chromium, report: str, seen: Seen):
    """Ours: no console errors, every picture drawn, words for those who cannot see them, contrast, nothing sideways."""
    browser.open(report, seen)

    assert checks.problems(browser) == []


def test_on_a_phone_each_check_of_the_gate_and_each_signal_is_read_without_scrolling_sideways(
    browser: Chromium, report: str
):
    """Bug: the words beside a check stood in a column of ten letters, and where they were found beyond the screen."""
    browser.open(report, PHONE)
    for table in ("checks", "signals"):
        hidden = browser.run(
            f"return [...document.querySelectorAll('main .scroll:has(> .{table})')].filter(frame => "
            "frame.checkVisibility() && frame.scrollWidth > frame.clientWidth).length"
        )
        narrow = browser.run(
            f"return [...document.querySelectorAll('.{table} td:last-child')].filter(cell => "
            "cell.checkVisibility() && cell.getBoundingClientRect().width < 250).length"
        )
        assert (table, hidden, narrow) == (table, 0, 0)


def test_every_link_of_the_report_leads_somewhere(browser: Chromium, report: str):
    """Ours: anchors are there; addresses of a service are well-formed."""
    browser.open(report)

    assert checks.dead_links(browser) == []


def test_the_report_can_be_walked_by_keyboard(browser: Chromium, report: str):
    """Ours: whatever takes the focus shows it."""
    browser.open(report)

    assert checks.unseen_focus(browser) == []


def test_the_report_can_be_printed(browser: Chromium, report: str):
    """Ours: on paper nothing is cut off, and a reader needs no screen."""
    browser.open(report, PAPER)
    lost, paper = checks.lost_on_paper(browser), browser.paper()

    assert lost == []
    assert paper.startswith(b"%PDF-") and len(re.findall(rb"/Type\s*/Page\b", paper)) in range(2, 40)


def test_the_report_needs_no_scripts(browser: Chromium, report: str):
    """Ours: a mail program or a strict browser shows the same page."""
    browser.open(report)
    with_scripts = browser.picture()
    browser.open(report, WITHOUT_SCRIPTS)

    assert browser.picture() == with_scripts
    assert "<script" not in browser.html()
