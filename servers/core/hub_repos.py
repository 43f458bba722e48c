"""Repositories of the Hugging Face Hub: files into one, which is made private; files out of one, at a commit."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from servers.core.hub import api_for, asked
from servers.core.progress import tell
from servers.core.services import HF_KEY, Services
from servers.core.wire import Wire

Kind = Literal["model", "dataset"]


class Uploaded(Wire):
    """Where something lies on the Hub."""

    url: str
    revision: str
    """The commit that holds it."""


def upload(services: Services, kind: Kind, repo: str, files: Mapping[str, Path | bytes], message: str) -> Uploaded:
    """Put files into a repository, in one commit; files that are there already make none.

    Args:
        services: The token.
        kind: Of the repository, which is made, private, where it is missing.
        repo: `namespace/name`.
        files: By the path that they get.
        message: Of the commit.

    Raises:
        ValueError: there is no token, or the Hub refuses, in one line.
    """
    if not services.key(HF_KEY):
        raise ValueError(f"the Hub needs {HF_KEY} in the environment, with the right to write; docs/huggingface.md")
    tell(0, 2, f"looking for the {kind} repository {repo}")
    from huggingface_hub import CommitOperationAdd

    api = api_for(services)
    asked(
        services,
        f"make the repository {repo}",
        lambda: api.create_repo(repo, repo_type=kind, private=True, exist_ok=True),
    )

    def commit() -> str:
        add = [CommitOperationAdd(path, contents) for path, contents in files.items()]
        return str(api.create_commit(repo, add, commit_message=message, repo_type=kind).oid)

    tell(1, 2, f"uploading {len(files)} files to {repo}")
    revision = asked(services, f"take the files of {repo}", commit)
    return Uploaded(url=f"{api.endpoint}/{'datasets/' if kind == 'dataset' else ''}{repo}", revision=revision)


def download(
    services: Services, kind: Kind, repo: str, revision: str | None, patterns: Sequence[str], folder: Path
) -> str:
    """Bring a repository's files into a folder; the commit that they are of.

    Args:
        services: The token, if there is one: public repositories need none.
        kind: Of the repository.
        repo: `namespace/name`.
        revision: Commit, branch or tag; None for the newest.
        patterns: Which files.
        folder: Where to put them.

    Raises:
        ValueError: the Hub refuses, in one line.
    """
    api = api_for(services)
    info = asked(
        services,
        f"show {kind} {repo}{'' if revision is None else f' at {revision}'}",
        lambda: api.repo_info(repo, repo_type=kind, revision=revision),
    )
    commit = str(info.sha)
    asked(
        services,
        f"hand over {repo}",
        lambda: api.snapshot_download(
            repo, repo_type=kind, revision=commit, allow_patterns=list(patterns), local_dir=folder
        ),
    )
    return commit
