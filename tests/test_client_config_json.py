"""JSON with comments: whatever its shape, what was there stays, and what is added is found."""

import json
import random
import re
from typing import Any

import pytest

from servers.clients.json_file import with_servers
from servers.clients.jsonc import read

SPACES = ["", "", " ", "\n", "\n  ", "\t", "\r\n", ' // a comment, with } and "\n', "/* one { */", "/**/\n"]
ENTRY = {"command": "/opt/etude", "args": ["serve", "all"], "env": {"K": "${env:K}"}}


def spaced(dice: random.Random) -> str:
    return "".join(dice.choice(SPACES) for _ in range(dice.randrange(3)))


def written(value: Any, dice: random.Random) -> str:
    """A value as somebody may have written it: comments and blanks anywhere, a comma at the end now and then."""
    if isinstance(value, dict):
        parts = [
            f"{spaced(dice)}{json.dumps(k)}{spaced(dice)}:{spaced(dice)}{written(v, dice)}{spaced(dice)}"
            for k, v in value.items()
        ]
        return "{" + ",".join(parts) + (f",{spaced(dice)}" if parts and dice.random() < 0.3 else spaced(dice)) + "}"
    if isinstance(value, list):
        parts = [f"{spaced(dice)}{written(one, dice)}{spaced(dice)}" for one in value]
        return "[" + ",".join(parts) + (f",{spaced(dice)}" if parts and dice.random() < 0.3 else spaced(dice)) + "]"
    return json.dumps(value, ensure_ascii=dice.random() < 0.5)


def some(dice: random.Random, depth: int = 0) -> Any:
    plain = [None, True, 1, -2.5e3, "", "// no comment", '"}{', "é\\ \u2028", 10**20]
    if depth > 2 or dice.random() < 0.4:
        return dice.choice(plain)
    if dice.random() < 0.5:
        return [some(dice, depth + 1) for _ in range(dice.randrange(3))]
    return {f"k{number}": some(dice, depth + 1) for number in range(dice.randrange(4))}


def a_file(dice: random.Random) -> dict[str, Any]:
    values = {f"other{number}": some(dice) for number in range(dice.randrange(3))}
    if dice.random() < 0.8:
        values["servers"] = {f"s{number}": some(dice) for number in range(dice.randrange(3))}
        if dice.random() < 0.3:
            values["servers"]["etude"] = some(dice)
    if dice.random() < 0.4:
        values["inputs"] = [{"id": "mine"}, some(dice)][: dice.randrange(3)]
    names = list(values)
    dice.shuffle(names)
    return {name: values[name] for name in names}


def without_blanks(text: str) -> str:
    return re.sub(r"\s+", "", text)


def test_whatever_the_shape_nothing_is_lost():
    """Ours: values and comments stay; the entry is there; a second time changes nothing."""
    for seed in range(600):
        nothing_is_lost(random.Random(seed))


def nothing_is_lost(dice: random.Random) -> None:
    values = a_file(dice)
    text = spaced(dice) + written(values, dice) + spaced(dice)
    asks = [{"id": "mine"}, {"id": "new"}] if dice.random() < 0.5 else []

    new = with_servers(text, "servers", {"etude": ENTRY, "second": {"url": "u"}}, asks)

    before, after = read(text), read(new)
    now = after.root.value()
    assert now["servers"] == values.get("servers", {}) | {"etude": ENTRY, "second": {"url": "u"}}
    assert {k: v for k, v in now.items() if k not in ("servers", "inputs")} == {
        k: v for k, v in values.items() if k not in ("servers", "inputs")
    }
    assert sorted(after.comments) == sorted(before.comments)
    if asks:
        assert [one for one in now["inputs"] if one in asks] == asks
    assert with_servers(new, "servers", {"etude": ENTRY, "second": {"url": "u"}}, asks) == new
    if "etude" not in values.get("servers", {}):
        left = iter(without_blanks(new))
        assert all(letter in left for letter in without_blanks(text)), "what was written is there, in its order"


def test_it_reads_what_the_standard_library_reads():
    """Ours: of plain JSON the two make the same."""
    for seed in range(200):
        dice = random.Random(seed)
        text = json.dumps(a_file(dice), indent=dice.choice([None, 2, "\t"]))

        document = read(text)

        assert document.root.value() == json.loads(text) and not document.has_extras


def test_a_text_that_was_cut_or_garbled_is_refused_with_its_place():
    """Ours: whatever the letters, it is a ValueError with line and column, or still something whole."""
    refused = 0
    for seed in range(400):
        dice = random.Random(seed)
        text = written(a_file(dice), dice)
        at = dice.randrange(len(text))
        odd = dice.choice('{}[]",:/*\\x0')
        try:
            read(dice.choice([text[:at], text[:at] + odd + text[at:], text[:at] + text[at + 1 :]])).root.value()
        except ValueError as error:
            assert re.match(r"line \d+, column \d+: ", str(error))
            refused += 1
    assert refused > 200


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ('{"mcpServers": {"a": 1}}', '{"mcpServers": {"a": 1, "b": {"c": 1}}}'),
        (
            '{\n\t"mcpServers": {\n\t\t"a": 1 // one\n\t\t// none\n\t}\n}\n',
            '{\n\t"mcpServers": {\n\t\t"a": 1, // one\n\t\t// none\n\t\t"b": {\n\t\t\t"c": 1\n\t\t}\n\t}\n}\n',
        ),
        (
            '{\n    "x": 0,\n    "mcpServers": {}\n}',
            '{\n    "x": 0,\n    "mcpServers": {\n        "b": {\n            "c": 1\n        }\n    }\n}',
        ),
        ("{\n  // nothing yet\n}", '{\n  // nothing yet\n  "mcpServers": {\n    "b": {\n      "c": 1\n    }\n  }\n}'),
    ],
)
def test_what_is_added_looks_as_if_it_had_been_there(text: str, new: str):
    """Ours: with the indentation of its neighbours, on one line where they are."""
    assert with_servers(text, "mcpServers", {"b": {"c": 1}}) == new
