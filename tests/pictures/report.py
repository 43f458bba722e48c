"""Photographs the report of a demo run in headless Chromium: its opening by day and night, its charts, and a phone.

    python -m tests.pictures.report

It needs Chromium and its driver, as `make test-browser` does, and writes `docs/pictures/report-*.png`. A run of the
demo takes half a minute; `--artifacts DIR` photographs one that is there. The page asks for the font Inter first.
"""

import argparse
import subprocess
import sys
from base64 import b64decode
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from tests.browser.chromium import Chromium, Seen

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
COLOURS = 200  # of a palette: enough for a page of flat colours, at a third of the bytes
MAX_BYTES = 300_000
SHARP = 2  # pixels of the picture for each of the page


@dataclass(frozen=True)
class Shot:
    """One picture: what of the page it shows, and how the page is looked at."""

    name: str
    first: str
    """Selector of the element at its top."""
    last: str
    """Of the element at its bottom."""
    seen: Seen
    height: int | None = None
    """Most pixels of the page that it shows; all where left out."""


DESK, NIGHT = Seen(width=1180), Seen(width=1180, scheme="dark")
PHONE = Seen(width=390, height=844, phone=True)
SHOTS = (
    Shot("report-light", ".top", "#verdict", DESK),
    Shot("report-dark", ".top", "#verdict", NIGHT),
    Shot("report-story", "#story", "#case-4", DESK),
    Shot("report-charts", "#before-after", "#before-after .pictures", DESK),
    Shot("report-predictions", "#predictions", "#predictions .panels", DESK),
    Shot("report-phone", ".top", "#verdict", PHONE, height=1500),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.pictures.report", description=__doc__)
    parser.add_argument("--artifacts", type=Path, help="a finished run of the demo (default: one is made)")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        artifacts = arguments.artifacts or _run_of_the_demo(Path(folder) / "artifacts")
        address = (artifacts.resolve() / "wandb" / "report.html").as_uri()
        with Chromium(Path(folder) / "chromium") as browser:
            for shot in SHOTS:
                browser.open(address, shot.seen)
                file = PICTURES / f"{shot.name}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(_smaller(_photograph(browser, shot)))
                print(f"{file.relative_to(ROOT)}: {file.stat().st_size:,} bytes")
                if file.stat().st_size > MAX_BYTES:
                    print(f"{file.name} is larger than {MAX_BYTES:,} bytes; show less of the page", file=sys.stderr)
                    return 1
    return 0


def _run_of_the_demo(artifacts: Path) -> Path:
    command = [sys.executable, "-m", "agent.cli", "cycle", "--cycles", "2", "--artifacts", str(artifacts)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return artifacts


def _photograph(browser: Chromium, shot: Shot) -> bytes:
    """From the upper edge of the first element to the lower edge of the last, with some room around, as PNG."""
    script = """
      const [first, last] = [...arguments].map((one) => document.querySelector(one).getBoundingClientRect());
      const top = Math.max(0, first.top + scrollY - 12);
      return { x: 0, y: top, width: document.documentElement.clientWidth, height: last.bottom + scrollY + 24 - top };
    """
    area = browser.run(script, shot.first, shot.last)
    area["height"] = min(area["height"], shot.height or area["height"])
    clip = {**area, "scale": SHARP / (2 if shot.seen.phone else 1)}
    answer = browser.cdp("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True, "clip": clip})
    return b64decode(answer["data"])


def _smaller(png: bytes) -> bytes:
    image = (
        Image.open(BytesIO(png)).convert("RGB").quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    )
    file = BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


if __name__ == "__main__":
    sys.exit(main())
