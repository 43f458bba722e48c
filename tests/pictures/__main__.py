"""`python -m tests.pictures report` makes one kind of pictures; the kinds are the modules beside this one."""

import runpy
import sys
from pathlib import Path

KINDS = sorted(file.stem for file in Path(__file__).parent.glob("[a-z]*.py"))


def main() -> int:
    kind = sys.argv[1] if len(sys.argv) > 1 else ""
    if kind not in KINDS:
        print(f"which pictures? one of: {', '.join(KINDS)}", file=sys.stderr)
        return 2
    del sys.argv[1]
    runpy.run_module(f"tests.pictures.{kind}", run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
