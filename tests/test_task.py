"""Task files."""

from pathlib import Path

import pytest

from servers.core.task import load_task

MINIMAL = """
schema = 1
name = "tea"
title = "t"
prompt = "rate {text}"
[[dimensions]]
name = "strength"
low = "weak"
high = "strong"
[gate]
min_gain = 0.3
max_worse = 1
[layout]
text = ["text"]
target = [""]
"""


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "task.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_few_lines_are_a_task(tmp_path: Path):
    """Ours: any text-to-numbers task fits by a file; the rest has defaults."""
    task = load_task(written(tmp_path, MINIMAL))

    assert task.names == ["strength"] and task.scale.width == 100
    assert task.prompt_for("a {dimensions} cup") == "rate a {dimensions} cup"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[gate]", "[gate]\nmin_gian = 1", "gate.min_gian: Extra inputs are not permitted"),
        ("min_gain = 0.3", "", "gate.min_gain: Field required"),
        ('"rate {text}"', '"rate it"', "{text} is missing"),
        ("[gate]", "[scale]\nlow = 5\nhigh = 5\n[gate]", "low 5.0 is not below high 5.0"),
        ("[gate]", "[scale]\nhigh = inf\n[gate]", "scale.high: Input should be a finite number"),
        ("[gate]", "[scale]\nhigh = 1e200\n[gate]", "too wide"),
        ("min_gain = 0.3", "min_gain = inf", "gate.min_gain: Input should be a finite number"),
        ("[gate]", '[[keywords]]\nwords = ["a"]\npoints = { strength = nan }\n[gate]', "should be a finite number"),
        ("[gate]", '[[keywords]]\nwords = ["a"]\npoints = { body = 1 }\n[gate]', "unknown dimension 'body'"),
        (
            "[gate]",
            '[derived.tags]\nkind = [{ choose = "x", dimension = "strength", above = 1 }]\n[gate]',
            "the last choice must apply always",
        ),
        ("[gate]", '[[dimensions]]\nname = "strength"\nlow = "a"\nhigh = "b"\n[gate]', "a name stands twice"),
        ("schema = 1", "schema = 2", "schema"),
        ("schema = 1", "schema = ", "is not TOML"),
    ],
)
def test_a_wrong_task_file_gets_one_line_that_says_what_is_wrong(tmp_path: Path, old: str, new: str, message: str):
    """Ours: the line names the file, the place and the fault."""
    path = written(tmp_path, MINIMAL.replace(old, new, 1))

    with pytest.raises(ValueError) as caught:
        load_task(path)

    assert message in str(caught.value) and path in str(caught.value) and "\n" not in str(caught.value)


def test_a_task_that_is_not_there_is_answered_with_those_that_are():
    """Ours: a misspelt name shows the known ones."""
    with pytest.raises(ValueError, match=r"no task 'kotnoe'.*built in: kotone"):
        load_task("kotnoe")


def test_the_second_example_is_another_kind_of_task():
    """Ours: other dimensions, another scale, decimals, no tags: the loop takes it unchanged."""
    task = load_task(str(Path(__file__).parent.parent / "examples" / "trails" / "task.toml"))

    assert task.scale.high == 10 and not task.scale.integers and not task.derived.tags
