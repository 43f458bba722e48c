"""Write the generated pages of docs/reference, and the table in servers/README.md, anew.

    python -m docs.generate          # or make reference

tests/test_reference.py says whether they are current.
"""

import sys

import anyio

from docs.generate.page import REFERENCE
from docs.generate.pages import PAGES
from servers import catalogue


def main() -> int:
    REFERENCE.mkdir(exist_ok=True)
    for name, write in PAGES.items():
        (REFERENCE / f"{name}.md").write_text(write(), encoding="utf-8")
    readme = catalogue.README.read_text(encoding="utf-8")
    table = catalogue.table(anyio.run(catalogue.all_tools))
    catalogue.README.write_text(catalogue.with_table(readme, table), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
