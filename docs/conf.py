"""How Sphinx makes the site: from the repository's own Markdown, so that every link is the one a Git host follows.

The source folder is the repository, not `docs/`: the READMEs, the changelog and the pages here belong to one site,
and a relative path means the same in both. Nothing is fetched: theme, search and pictures are on the disk.
"""

import shutil
import tomllib
from pathlib import Path

from sphinx.application import Sphinx

REPOSITORY = Path(__file__).parents[1]

project = "Étude"
author = "the authors of Étude"
copyright = "the authors of Étude, Apache-2.0"
release = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

extensions = ["myst_parser"]
root_doc = "docs/index"
source_suffix = {".md": "markdown"}
include_patterns = ["*.md", "*/README.md", "docs/**.md", "servers/**README.md", "examples/**README.md"]
exclude_patterns = [".*", "artifacts/*/**", "docs/_build", "tests/[!R]*", "shared"]
nitpicky = True

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
# A README begins below the title of its folder, and a code block may show a file that no lexer knows.
suppress_warnings = ["myst.header", "misc.highlighting_failure"]

html_theme = "furo"
html_title = f"Étude {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_additional_pages = {"index": "to_the_first_page.html"}
templates_path = ["_templates"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b6e4f", "color-brand-content": "#0b6e4f"},
    "dark_css_variables": {"color-brand-primary": "#5fd3a6", "color-brand-content": "#5fd3a6"},
}


def setup(app: Sphinx) -> None:
    """Keep the pictures where a page names them in HTML: light and dark ones are no Markdown."""
    app.connect("build-finished", _with_pictures)


def _with_pictures(app: Sphinx, error: Exception | None) -> None:
    if error is None:
        shutil.copytree(REPOSITORY / "docs" / "pictures", Path(app.outdir) / "docs" / "pictures", dirs_exist_ok=True)
