"""`python -m tests.pictures terminal [FOLDER]`: run the demo in a terminal and draw what it showed, into docs/pictures.

Two moments, each for a light and a dark page: the board while the second cycle trains, and the end of the run.
"""

import io
import os
import sys
import tempfile
from copy import deepcopy
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from tests.terminal import Screen, Terminal

ROOT = Path(__file__).parents[2]
WIDTH, HEIGHT = 96, 46
LIVE_LINES = 30
RUN_S = 300.0
DARK = TerminalTheme(
    (22, 24, 33),
    (216, 219, 230),
    [
        (60, 64, 82), (240, 98, 110), (126, 211, 133), (237, 200, 110),
        (110, 160, 250), (214, 132, 240), (94, 208, 220), (200, 204, 216),
    ],
)  # fmt: skip
LIGHT = TerminalTheme(
    (252, 251, 247),
    (43, 45, 56),
    [
        (80, 84, 100), (196, 43, 60), (24, 126, 58), (150, 104, 0),
        (36, 92, 200), (146, 50, 180), (0, 118, 136), (90, 94, 110),
    ],
)  # fmt: skip
# rich's own format fetches its font from a network; a picture in a README must not.
FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title>{alternative}</title>
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: ui-sans-serif, system-ui, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def main(folder: Path) -> None:
    """Run the demo once, and write the pictures."""
    live, end = recorded()
    folder.mkdir(parents=True, exist_ok=True)
    for name, screen, first, alternative in (
        ("terminal-live", live, max(0, len(live.cells) - LIVE_LINES), "A terminal while a cycle of etude trains"),
        ("terminal", end, _last(end, "cycle_2, champion"), "A terminal at the end of a run of etude"),
    ):
        text = _without_blank_end(list(screen.coloured().split("\n", allow_blank=True))[first:])
        for theme_name, theme in (("light", LIGHT), ("dark", DARK)):
            (folder / f"{name}-{theme_name}.svg").write_text(drawn(text, theme, alternative), encoding="utf-8")


def recorded() -> tuple[Screen, Screen]:
    """What the demo shows while its second cycle trains, and at the end.

    Raises:
        RuntimeError: it did not end well.
    """
    program = Path(sys.executable).with_name("etude")
    with tempfile.TemporaryDirectory() as folder:
        environment = {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
        with Terminal([str(program), "cycle"], WIDTH, HEIGHT, environment, Path(folder)) as terminal:
            terminal.until(lambda text: "turn 2 of 2" in text and "●train" in text and " of " in _bar(text), RUN_S)
            live = deepcopy(terminal.screen)
            if (code := terminal.to_the_end(RUN_S)) != 0:
                raise RuntimeError(f"exit code {code}:\n{terminal.screen.text}")
            return live, terminal.screen


def drawn(text: Text, theme: TerminalTheme, alternative: str) -> str:
    """A text as an SVG that needs nothing from a network."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(text, no_wrap=True, overflow="ignore", crop=False)
    code_format = FORMAT.replace("{alternative}", alternative)
    return console.export_svg(title="etude cycle", theme=theme, code_format=code_format, unique_id="etude")


def _bar(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if "━" in line), "")


def _last(screen: Screen, words: str) -> int:
    return max(number for number, line in enumerate(screen.lines) if line.startswith(words))


def _without_blank_end(lines: list[Text]) -> Text:
    while lines and not lines[-1].plain.strip():
        lines.pop()
    return Text("\n").join(lines)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "docs" / "pictures")
