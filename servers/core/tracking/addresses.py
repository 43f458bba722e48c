"""Where W&B shows what was sent to it, and whose project it is."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from servers.core.disk import now, read_json, write_json
from servers.core.wire import Wire

PUBLIC_SERVER = "https://api.wandb.ai"


class Account(Wire):
    """`tracking/account.json`: the entity that a key stands for where none is configured; asked once."""

    schema_version: int = 1
    server: str
    entity: str
    asked_at: str


def server_url(environment: Mapping[str, str]) -> str:
    """The service that the SDKs talk to."""
    return (environment.get("WANDB_BASE_URL") or PUBLIC_SERVER).rstrip("/")


def app_url(environment: Mapping[str, str]) -> str:
    """Where its pages are, by the SDK's rule: without `api.` in W&B's cloud, with `app.` in a company's own."""
    if configured := environment.get("WANDB_APP_URL"):
        return configured.rstrip("/")
    server = server_url(environment)
    if "://api.wandb." in server:
        return server.replace("://api.", "://")
    return server.replace("://api.", "://app.")


def run_page(environment: Mapping[str, str], entity: str, project: str, run_id: str) -> str:
    return f"{app_url(environment)}/{quote(entity)}/{quote(project)}/runs/{quote(run_id)}"


def trace_page(environment: Mapping[str, str], entity: str, project: str, call_id: str) -> str:
    return f"{app_url(environment)}/{quote(entity)}/{quote(project)}/r/call/{quote(call_id)}"


def noted_entity(path: Path, server: str) -> str | None:
    """The entity that was learned from this service before; None where it was not."""
    if not path.exists():
        return None
    account = Account.model_validate(read_json(path))
    return account.entity if account.server == server else None


def note_entity(path: Path, server: str, entity: str) -> None:
    write_json(path, Account(server=server, entity=entity, asked_at=now()))
