"""What is checked of every page; each check gives one line a problem, and none for a page that is well."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import httpx2

from tests.browser.chromium import Chromium

LOOK = Path(__file__).with_name("look.js")
MOST_TABS = 400
HARMLESS = ("data:", "about:", "blob:")

Check = Callable[[Chromium], list[str]]


def words_in_the_console(browser: Chromium) -> list[str]:
    """Errors and warnings that the page logged since it was opened."""
    return browser.console()


def requests_elsewhere(browser: Chromium) -> list[str]:
    """Requests that left the page's own place: another host, or for a file anything at all."""
    here = urlsplit(_address(browser))

    def leaves(address: str) -> bool:
        asked = urlsplit(address)
        if address.startswith(HARMLESS):
            return False
        return (
            asked.scheme != here.scheme
            or asked.netloc != here.netloc
            or (here.scheme == "file" and asked.path != here.path)
        )

    return [f"asked for {address}" for address in browser.requests() if leaves(address)]


def pictures_not_drawn(browser: Chromium) -> list[str]:
    """Figures without a picture, and pictures without marks in them."""
    return _look(browser, "pictures")


def words_of_pictures_in_the_way(browser: Chromium) -> list[str]:
    """Words of a picture that stand on one another, or outside of the page."""
    return _look(browser, "chartWords")


def pictures_without_words(browser: Chromium) -> list[str]:
    """Pictures, links and fields that say nothing to somebody who cannot see them."""
    return _look(browser, "alternatives")


def disorder(browser: Chromium) -> list[str]:
    """Headings that skip a level, ids that stand twice, references to nothing, no language, no title."""
    return _look(browser, "structure")


def tables_without_headers(browser: Chromium) -> list[str]:
    """Tables whose headers, their scopes or whose name are missing."""
    return _look(browser, "tables")


def wider_than_the_window(browser: Chromium) -> list[str]:
    """What makes a reader scroll sideways."""
    return _look(browser, "sideways")


def lost_on_paper(browser: Chromium) -> list[str]:
    """What would have to be scrolled to; the page has to be open as it is printed."""
    return _look(browser, "cutOff")


def pale_words(browser: Chromium) -> list[str]:
    """Words, also those of pictures, whose contrast with what they stand on is too low (WCAG 1.4.3)."""
    return _look(browser, "colours")


def dead_links(browser: Chromium) -> list[str]:
    """Links that lead nowhere; those to other hosts have to be well-formed, and are not followed."""
    here = _address(browser)
    found = []
    for link in dict.fromkeys(browser.run(f"{_source()}; return links();")):
        if problem := _problem_with(browser, here, link):
            found.append(f"{link!r} {problem}")
    return found


def unseen_focus(browser: Chromium) -> list[str]:
    """What the tab key reaches without a ring around it, and whether it reaches everything."""
    reachable = browser.run(f"{_source()}; return reachable();")
    reached, found = 0, []
    browser.run("document.activeElement.blur(); window.scrollTo(0, 0);")
    for _ in range(min(reachable, MOST_TABS)):
        browser.tab()
        state = browser.run(f"{_source()}; return focused();")
        if state is None:
            break
        reached += 1
        if not state["seen"]:
            found.append(f"{state['what']} shows no focus")
    if reached < min(reachable, MOST_TABS):
        found.append(f"the tab key reached {reached} of {reachable}")
    return found


ALWAYS: tuple[Check, ...] = (
    words_in_the_console,
    requests_elsewhere,
    pictures_not_drawn,
    words_of_pictures_in_the_way,
    pictures_without_words,
    disorder,
    tables_without_headers,
    wider_than_the_window,
    pale_words,
)


def problems(browser: Chromium, checks: tuple[Check, ...] = ALWAYS) -> list[str]:
    """Everything that is wrong with the page that is open."""
    return [f"{check.__name__}: {problem}" for check in checks for problem in check(browser)]


def _look(browser: Chromium, function: str) -> list[str]:
    found: list[str] = browser.run(f"{_source()}; return {function}();")
    return found


@cache
def _source() -> str:
    return LOOK.read_text(encoding="utf-8")


def _address(browser: Chromium) -> str:
    return str(browser.run("return location.href;"))


def _problem_with(browser: Chromium, here: str, link: str) -> str | None:
    place = str(browser.run("return new URL(arguments[0], location.href).href;", link))
    parts, own = urlsplit(place), urlsplit(here)
    if (parts.scheme, parts.netloc, parts.path, parts.query) == (own.scheme, own.netloc, own.path, own.query):
        there = not parts.fragment or browser.run(
            f"{_source()}; return isAnchor(arguments[0]);", unquote(parts.fragment)
        )
        return None if there else "points at nothing on this page"
    if parts.scheme == "file":
        return None if own.scheme == "file" and Path(url2pathname(parts.path)).is_file() else "is no file"
    if parts.netloc == own.netloc:
        answer = httpx2.get(place, follow_redirects=False)
        return None if answer.status_code == 200 else f"answers {answer.status_code}"
    well_formed = parts.scheme in ("http", "https") and "." in (parts.hostname or "") and " " not in link
    return None if well_formed else "is no address"
