"""What was learned in all cycles: ways of making a candidate and what they did, lessons, remedies; found by words."""

from servers.core.words import cleaned
from servers.playbook.evidence import PlaybookEntry, entries_known, search
from servers.playbook.policies import Policy, policies_known, search_policies
from servers.playbook.site.archive import Archive
from servers.playbook.site.pages import Page

MOST = 200
QUERY_CHARS = 200


def playbook_page(archive: Archive, query: str) -> Page:
    """All of it, newest first, or what shares words with the query."""
    words = cleaned(query, QUERY_CHARS)
    policies, entries = _found(archive, words) if words else (_all_policies(archive), entries_known(archive.workspace))
    values = {
        "query": words,
        "policies": policies[:MOST],
        "lessons": [entry for entry in entries if entry.kind == "lesson"][:MOST],
        "remedies": [entry for entry in entries if entry.kind == "remedy"][:MOST],
        "most": MOST,
    }
    return Page("playbook.html.j2", f"Playbook: {words}" if words else "Playbook", values)


def _found(archive: Archive, words: str) -> tuple[list[Policy], list[PlaybookEntry]]:
    page = search_policies(
        archive.workspace,
        words=words,
        dataset=None,
        task=None,
        way=None,
        dimension=None,
        worked=None,
        limit=MOST,
        offset=0,
    )
    try:
        return page.entries, search(archive.workspace, words, MOST)
    except ValueError:  # signs only, no word
        return [], []


def _all_policies(archive: Archive) -> list[Policy]:
    return policies_known(archive.workspace)[::-1]
