"""Which W&B MCP server a run asks: the stand-in over the local tracker, or the official one, hosted or local.

The official server needs older libraries than ours, so the local one is a command in an environment of its own; the
default is uvx with the versions that work together. The key goes to it in a header or in its environment, from ours,
and stands in no file.
"""

from collections.abc import Mapping
from typing import Any

from agent.endpoints import Endpoint, Http, Stdio
from agent.settings import WandbSettings
from agent.wandb_names import USED

KEY, BASE_URL = "WANDB_API_KEY", "WANDB_BASE_URL"
CLOUD, HOSTED = "https://api.wandb.ai", "https://mcp.withwandb.com/mcp"
COMMAND = [
    "uvx", "--from", "git+https://github.com/wandb/wandb-mcp-server@v0.3.3",
    "--with", "mcp<2", "--with", "wandb<0.27", "--with", "weave<0.54", "wandb_mcp_server",
]  # fmt: skip
PASSED_ON = (
    KEY, BASE_URL, "WANDB_ENTITY", "WF_TRACE_SERVER_URL", "WEAVE_TRACE_SERVER_URL", "MAX_RESPONSE_TOKENS",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE",
    "TIKTOKEN_CACHE_DIR",
)  # fmt: skip
# Nothing but answers: its own counting, error reports and documentation search reach out by themselves.
QUIET = {
    "MCP_ANALYTICS_DISABLED": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_MCP_PROXY_DOCS": "false",
    "WANDB_SILENT": "true",
    "WEAVE_DISABLED": "true",
}


def official(settings: WandbSettings, tracking: Mapping[str, Any], environment: Mapping[str, str]) -> Endpoint | None:
    """The official server; None where the stand-in is to be asked.

    Args:
        settings: The table [agent.wandb].
        tracking: The table [tracking]; what is only tracked here cannot be read at W&B.
        environment: Where the key and the addresses are.

    Raises:
        ValueError: the settings name the official server, and there is no key for it, or nothing for it to read.
    """
    key, tracks_here = environment.get(KEY), tracking.get("backend") == "local"
    if settings.mcp == "stand-in" or (settings.mcp == "auto" and (not key or tracks_here)):
        return None
    if not key:
        raise ValueError(
            f"[agent.wandb] mcp is {settings.mcp!r}, which needs {KEY} in the environment; set it, or take the line out"
        )
    if tracks_here:
        raise ValueError(
            f"[agent.wandb] mcp is {settings.mcp!r}, but [tracking] backend is 'local', so W&B has nothing to read; "
            "take one of the two lines out"
        )
    if settings.mcp == "local" or (settings.mcp == "auto" and settings.command):
        return _local(settings, environment)
    return Http(
        url=settings.url or _hosted_url(environment),
        headers={"Authorization": f"Bearer {key}"},
        start_limit_s=settings.start_limit_s,
        only=list(USED),
    )


def pages(environment: Mapping[str, str]) -> str:
    """Where W&B shows what it has, by the rule of its own SDK."""
    if configured := environment.get("WANDB_APP_URL"):
        return configured.rstrip("/")
    base = (environment.get(BASE_URL) or CLOUD).rstrip("/")
    return base.replace("://api.", "://" if "://api.wandb." in base else "://app.")


def _local(settings: WandbSettings, environment: Mapping[str, str]) -> Endpoint:
    command = settings.command or COMMAND
    given = {name: environment[name] for name in PASSED_ON if environment.get(name)}
    base = given.get(BASE_URL, CLOUD).rstrip("/")
    if base != CLOUD:
        # It does not find the traces of an instance by itself.
        given = {"WF_TRACE_SERVER_URL": f"{base}/traces"} | given
        given = {"WEAVE_TRACE_SERVER_URL": given["WF_TRACE_SERVER_URL"]} | given
    return Stdio(
        command=command[0],
        args=command[1:],
        env=QUIET | given,
        start_limit_s=settings.start_limit_s,
        only=list(USED),
    )


def _hosted_url(environment: Mapping[str, str]) -> str:
    base = (environment.get(BASE_URL) or CLOUD).rstrip("/")
    return HOSTED if base == CLOUD else f"{base}/mcp"
