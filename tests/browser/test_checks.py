"""Every check of a page, on a page that is broken on purpose: a check that cannot fail would prove nothing."""

from pathlib import Path

import pytest

from tests.browser import checks
from tests.browser.chromium import DESK, NIGHT, PAPER, PHONE, Chromium, NoBrowser, Seen, find_program

WELL = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Well</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<style>
  :root {{ color-scheme: light dark; --ink: #111; --paper: #fff; }}
  @media (prefers-color-scheme: dark) {{ :root {{ --ink: #eee; --paper: #111; }} }}
  body {{ margin: 0; background: var(--paper); color: var(--ink); }} a {{ color: inherit; }}
  a:focus-visible {{ outline: 3px solid currentColor; }} svg text {{ fill: var(--ink); }} {style}
</style></head><body><main><h1>Well</h1>{body}</main></body></html>"""
PICTURE = """<figure><svg role="img" viewBox="0 0 90 60" width="90" height="60"><title>Bars</title>
<rect x="5" y="10" width="10" height="40" fill="#05a" /><rect x="25" y="20" width="10" height="30" fill="#05a" />
<rect x="45" y="30" width="10" height="20" fill="#05a" /><text x="60" y="20" font-size="12">three</text>
</svg></figure>"""
SECOND_WORD = PICTURE.replace("</svg>", '<text x="60" y="22" font-size="12">four</text></svg>')
WIDE = "table { width: 200vw } .scroll { overflow: auto }"
TABLE = '<table><caption>T</caption><tr><th scope="col">A</th></tr><tr><td>1</td></tr></table>'
GOOD = (
    f'{PICTURE}{TABLE}<h2 id="there">There</h2><p><a href="#there">down</a> <a href="https://example.org/x">out</a></p>'
)


@pytest.fixture
def page(tmp_path: Path, browser: Chromium):
    """Opens a page with this in its body."""

    def opened(body: str, style: str = "", seen: Seen = DESK) -> None:
        file = tmp_path / "page.html"
        file.write_text(WELL.format(body=body, style=style), encoding="utf-8")
        browser.open(file.as_uri(), seen)

    return opened


@pytest.mark.parametrize("seen", [DESK, NIGHT, PHONE], ids=str)
def test_a_page_that_is_well_passes_every_check(page, browser: Chromium, seen: Seen):
    """Ours: a check that always complains is as useless as one that never does."""
    page(GOOD, seen=seen)

    assert checks.problems(browser, (*checks.ALWAYS, checks.dead_links, checks.unseen_focus)) == []


BROKEN = [
    (checks.words_in_the_console, "<script>nobody.knows()</script>", "", "nobody is not defined"),
    (checks.words_in_the_console, "<script>console.warn('beware')</script>", "", "beware"),
    (checks.requests_elsewhere, '<img src="http://127.0.0.1:9/x.png" alt="">', "", "http://127.0.0.1:9/x.png"),
    (checks.requests_elsewhere, '<link rel="stylesheet" href="other.css">', "", "other.css"),
    (checks.pictures_not_drawn, "<figure><figcaption>soon</figcaption></figure>", "", "figure without a picture"),
    (checks.pictures_not_drawn, '<figure><svg width="90" height="60"></svg></figure>', "", "has 0 marks"),
    (checks.pictures_not_drawn, PICTURE.replace("#05a", "none"), "", "has 0 marks"),
    (checks.pictures_not_drawn, PICTURE.replace('y="', 'y="9'), "", "marks"),
    (checks.pictures_not_drawn, PICTURE, "svg { height: 0; width: 0 }", "is 0 by 0 pixels"),
    (checks.pictures_not_drawn, '<img src="gone.png" alt="">', "", "was not loaded"),
    (checks.words_of_pictures_in_the_way, SECOND_WORD, "", "stands on"),
    (checks.words_of_pictures_in_the_way, PICTURE, "svg { margin-left: 98vw; overflow: visible }", "cut off"),
    (checks.pictures_without_words, PICTURE.replace("<title>Bars</title>", ""), "", "has no title"),
    (checks.pictures_without_words, PICTURE.replace('role="img"', ""), "", "has no role"),
    (checks.pictures_without_words, '<img src="page.html">', "", "without alt"),
    (checks.pictures_without_words, '<a href="#x"></a>', "", "without words"),
    (checks.pictures_without_words, '<input name="q">', "", "without a label"),
    (checks.disorder, "<h3>Too deep</h3>", "", "h3 \"Too deep\" follows h1"),
    (checks.disorder, '<p id="a"></p><p id="a"></p>', "", "id a stands twice"),
    (checks.disorder, '<p aria-labelledby="gone"></p>', "", "points at gone"),
    (checks.disorder, "<h1>Second</h1>", "", "2 h1"),
    (checks.tables_without_headers, "<table><caption>T</caption><tr><td>1</td></tr></table>", "", "without headers"),
    (checks.tables_without_headers, TABLE.replace(' scope="col"', ""), "", "has no scope"),
    (checks.tables_without_headers, TABLE.replace("<caption>T</caption>", ""), "", "without a name"),
    (checks.wider_than_the_window, "<p>wide</p>", "p { width: 200vw }", "wider than the window"),
    (checks.pale_words, "<p>pale</p>", "p { color: #999 }", "pale"),
    (checks.pale_words, PICTURE, "svg text { fill: #bbb }", "three"),
    (checks.pale_words, PICTURE.replace('x="60"', 'x="2"'), "", "three"),
    (checks.dead_links, '<a href="#nowhere">n</a>', "", "points at nothing"),
    (checks.dead_links, '<a href="gone.html">n</a>', "", "is no file"),
    (checks.dead_links, '<a href="https://nohost">n</a>', "", "is no address"),
    (checks.unseen_focus, '<a href="#x">x</a>', "a:focus-visible { outline: none }", "shows no focus"),
    (checks.lost_on_paper, f'<div class="scroll">{TABLE}</div>', WIDE, "loses"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "body", "style", "words"), BROKEN)
def test_a_broken_page_is_seen(page, browser: Chromium, check: checks.Check, body: str, style: str, words: str):
    """Ours: each check is able to fail, and says what is wrong."""
    page(body, style, PAPER if check is checks.lost_on_paper else DESK)

    assert any(words in problem for problem in check(browser)), check(browser)


def test_what_is_readable_by_day_may_be_pale_at_night(page, browser: Chromium):
    """Ours: contrast is computed for the theme that the reader has."""
    style = "@media (prefers-color-scheme: dark) { p { color: #555 } }"
    page("<p>words</p>", style)
    by_day = checks.pale_words(browser)
    page("<p>words</p>", style, NIGHT)

    assert by_day == [] and "words" in checks.pale_words(browser)[0]


def test_a_page_that_fits_a_desk_may_be_too_wide_for_a_phone(page, browser: Chromium):
    """Ours: 390 pixels are what a phone has."""
    page("<p>words</p>", "p { width: 600px }")
    at_a_desk = checks.wider_than_the_window(browser)
    page("<p>words</p>", "p { width: 600px }", PHONE)

    assert at_a_desk == [] and checks.wider_than_the_window(browser) != []


def test_without_a_browser_one_line_says_what_to_install():
    """Ours: no check is skipped in silence."""
    with pytest.raises(NoBrowser, match="apt-get install chromium chromium-driver") as caught:
        find_program(("no-such-browser",), "Chromium")

    assert "\n" not in str(caught.value) and "no-such-browser" in str(caught.value)
