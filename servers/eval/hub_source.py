"""`hf://NAMESPACE/NAME[@REVISION]` as a source of `etude import`: a dataset of the Hugging Face Hub, at one commit."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from servers.core.hub_repos import download
from servers.core.services import Services
from servers.eval.source_files import KINDS

SCHEME = "hf://"
ADDRESS = re.compile(r"(?:datasets/)?([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")


@contextmanager
def local_sources(given: list[str], services: Services) -> Iterator[tuple[list[Path], dict[str, str]]]:
    """The sources as paths, those of the Hub brought here for as long as the context lasts.

    Yields:
        The paths, and by the address of each repository the commit that was taken.

    Raises:
        ValueError: an address cannot be read, or the Hub refuses.
    """
    paths: list[Path] = []
    commits: dict[str, str] = {}
    with ExitStack() as stack:
        for one in given:
            if not one.startswith(SCHEME):
                paths.append(Path(one))
                continue
            match = ADDRESS.fullmatch(one.removeprefix(SCHEME))
            if match is None:
                raise ValueError(f"{one!r} is no address of a dataset; write hf://NAMESPACE/NAME or hf://…@REVISION")
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="etude-hub-")))
            patterns = [f"*{suffix}" for suffix in KINDS]
            commits[one] = download(services, "dataset", match[1], match[2], patterns, folder)
            paths += _files(folder, one)
        yield paths, commits


def _files(folder: Path, address: str) -> list[Path]:
    """All files of rows, at any depth; what the library keeps for itself is passed over."""
    found = sorted(path for suffix in KINDS for path in folder.rglob(f"*{suffix}"))
    found = [path for path in found if ".cache" not in path.relative_to(folder).parts]
    if not found:
        raise ValueError(f"{address} holds no file that ends in {', '.join(KINDS)}")
    return found
