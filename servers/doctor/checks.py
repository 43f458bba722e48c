"""What is looked at: a few cheap questions that change nothing and cost nothing, one after the other for a service."""

import importlib.util
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

from servers import VERSION
from servers.core.budget import Budget
from servers.core.hub import ENDPOINT
from servers.core.jobs import TRAIN_PYTHON
from servers.core.services import HF_KEY, MISTRAL_KEY, MISTRAL_URL, TEACHER_MODEL, WANDB_KEY, Endpoint, Services
from servers.core.workspace import Workspace
from servers.doctor.asking import NotAllowed, NotReached, Strange, Unwell, ask, shown
from servers.doctor.finding import Finding, absent, denied, here, sound, unreachable

MISTRAL, WANDB, WEAVE, HUGGING_FACE = (
    "https://api.mistral.ai",
    "https://api.wandb.ai",
    "https://trace.wandb.ai",
    "https://huggingface.co",
)
HOSTED_MCP = "https://mcp.withwandb.com/mcp"
BRAIN_MODEL = "mistral-medium-latest"
TRAINING = ("torch", "transformers", "trl", "peft", "accelerate")
VIEWER = {"query": "query Viewer { viewer { username entity } }"}
MCP_VERSION = "2025-11-25"
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": MCP_VERSION,
        "capabilities": {},
        "clientInfo": {"name": "etude-doctor", "version": VERSION},
    },
}

SET_MISTRAL = f"export {MISTRAL_KEY}=… (console.mistral.ai), or {MISTRAL_URL}=http://… of a server of your own"
SET_WANDB = f"export {WANDB_KEY}=… (wandb.ai/authorize)"
SET_HF = f"export {HF_KEY}=hf_… with the right to write (huggingface.co/settings/tokens)"
TRY_AGAIN = "try again later"

Check = Callable[[], Awaitable[Finding]]


def checks(workspace: Workspace, services: Services) -> dict[str, Check]:
    """What to look at, by the service's name, in the order in which it is told."""
    look = _Look(workspace, services)
    return {
        "mistral brain": look.brain,
        "mistral teacher": lambda: look.endpoint("mistral teacher"),
        "mistral prompt": lambda: look.endpoint("mistral prompt"),
        "w&b": look.wandb,
        "weave": look.weave,
        "w&b mcp": look.wandb_mcp,
        "hugging face": look.hub,
        "hugging face jobs": look.jobs,
        "training here": look.training,
        "budget": look.budget,
    }


class _Look:
    """The questions, with what is configured."""

    def __init__(self, workspace: Workspace, services: Services) -> None:
        self._workspace, self._services = workspace, services
        self._agent: Mapping[str, Any] = services.settings.agent

    async def brain(self) -> Finding:
        service, chosen = "mistral brain", self._agent.get("brain", "auto")
        if chosen == "offline":
            return absent(service, "[agent] brain is 'offline'", "set brain in [agent] to 'mistral'")
        if not (self._key(MISTRAL_KEY) or self._key(MISTRAL_URL)):
            if chosen == "mistral":
                return here(service, "[agent] brain is 'mistral', and there is no key and no server", SET_MISTRAL)
            return absent(service, "no key and no server, so the offline policy decides", SET_MISTRAL)
        model = _table(self._agent, "mistral").get("model", BRAIN_MODEL)
        return await self._has_model(service, str(model), self._key(MISTRAL_URL))

    async def endpoint(self, service: Literal["mistral teacher", "mistral prompt"]) -> Finding:
        found: Endpoint | None = self._services.teacher if service.endswith("teacher") else self._services.prompt
        table = service.removeprefix("mistral ")
        if found is None:
            switched_off = getattr(self._services.settings, table).backend == "off"
            why = f"[{table}] backend is 'off'" if switched_off else f"no key, or no model in [{table}]"
            mend = f"set backend in [{table}] to 'auto'" if switched_off else SET_MISTRAL
            if not switched_off and self._key(MISTRAL_URL):
                mend = f"set model in [{table}] to what your server calls it, such as {TEACHER_MODEL!r}"
            return absent(service, why, mend)
        return await self._has_model(service, found.model, found.server_url)

    async def _has_model(self, service: str, model: str, server_url: str | None) -> Finding:
        base = (server_url or MISTRAL).rstrip("/").removesuffix("/v1")
        answer = await ask(f"{base}/v1/models", self._key(MISTRAL_KEY))
        names = _names(answer.body)
        if names is None:
            raise Strange(f"{shown(base)} lists no models")
        if model not in names and server_url is not None:  # llama.cpp answers to any name
            return sound(service, f"{shown(base)}, which does not list {model!r} and may answer all the same")
        if model not in names:
            some = ", ".join(sorted(names)[:5]) or "none"
            table = service.removeprefix("mistral ")
            where = "[agent.mistral]" if table == "brain" else f"[{table}]"
            return denied(service, f"{shown(base)} has no {model!r}", f"set model in {where} to one it has: {some}")
        return sound(service, f"{model} at {shown(base)}")

    async def wandb(self) -> Finding:
        service = "w&b"
        if self._services.tracking == "local":
            return absent(service, "runs and traces stay in the local tracker", SET_WANDB)
        base, viewer = self._wandb, await self._viewer()
        entity = self._services.settings.tracking.entity or self._key("WANDB_ENTITY") or viewer.get("entity")
        project = self._services.settings.tracking.project or self._key("WANDB_PROJECT") or "etude-<task>"
        return sound(service, f"{viewer.get('username')} at {shown(base)}, runs go to {entity}/{project}")

    async def weave(self) -> Finding:
        if self._services.tracking == "local":
            return absent("weave", "traces stay in the local tracker", SET_WANDB)
        own = WEAVE if self._wandb == WANDB else f"{self._wandb}/traces"  # as the SDK has it
        base = (self._key("WF_TRACE_SERVER_URL") or own).rstrip("/")
        answer = await ask(f"{base}/server_info", self._key(WANDB_KEY), basic=True)
        if not isinstance(answer.body, dict):
            raise Strange(f"{shown(base)} does not say what it is")
        await self._viewer()  # Weave says what it is to anybody; whose key it is, W&B says for both
        return sound("weave", f"traces go to {shown(base)}")

    async def _viewer(self) -> dict[str, Any]:
        """Whose key it is."""
        answer = await ask(f"{self._wandb}/graphql", self._key(WANDB_KEY), basic=True, sends=VIEWER)
        if not isinstance(answer.body, dict) or not isinstance(answer.body.get("data"), dict):
            raise Strange(f"{shown(self._wandb)} answers no GraphQL")
        viewer = answer.body["data"].get("viewer")
        if not isinstance(viewer, dict):
            raise NotAllowed(f"{shown(self._wandb)} knows nobody of this key")
        return viewer

    @property
    def _wandb(self) -> str:
        return (self._key("WANDB_BASE_URL") or WANDB).rstrip("/")

    async def wandb_mcp(self) -> Finding:
        service, table = "w&b mcp", _table(self._agent, "wandb")
        chosen, command = table.get("mcp", "auto"), table.get("command")
        if self._agent.get("mcp"):
            return here(service, f"the server list {str(self._agent['mcp'])!r} names it")
        if chosen == "stand-in" or (chosen == "auto" and self._services.tracking == "local"):
            return absent(service, "the stand-in reads the local tracker", SET_WANDB)
        if not self._key(WANDB_KEY):
            return here(service, f"[agent.wandb] mcp is {chosen!r}, and there is no key", SET_WANDB)
        if chosen == "local" or (chosen == "auto" and command):
            words = command if isinstance(command, list) and command else ["uvx"]
            return _command(service, str(words[0]))
        url = str(table.get("url") or (HOSTED_MCP if self._wandb == WANDB else f"{self._wandb}/mcp"))
        headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": MCP_VERSION}
        answer = await ask(url, self._key(WANDB_KEY), sends=INITIALIZE, headers=headers)
        result = answer.body.get("result") if isinstance(answer.body, dict) else None
        if not isinstance(result, dict) or not isinstance(result.get("serverInfo"), dict):
            raise Strange(f"{shown(url)} does not answer as an MCP server does")
        info = result["serverInfo"]
        return sound(service, f"{info.get('name')} {info.get('version')} at {shown(url)}")

    async def hub(self) -> Finding:
        service = "hugging face"
        if not self._key(HF_KEY):
            return absent(service, "datasets and models stay in the artifacts folder", SET_HF)
        user = await self._user()
        role = _table(_table(user, "auth"), "accessToken").get("role")
        if role == "read":
            return denied(service, f"{user['name']}'s token may only read, so nothing is published", SET_HF)
        return sound(service, f"{user['name']} at {shown(self._hub)}, token role {role or 'unknown'}")

    async def jobs(self) -> Finding:
        service, settings = "hugging face jobs", self._services.settings.jobs
        if self._services.jobs == "local":
            mend = SET_HF if not self._key(HF_KEY) else "set backend in [jobs] to 'huggingface'"
            return absent(service, "trainings run on this machine", mend)
        user = await self._user()
        orgs = user.get("orgs") if isinstance(user.get("orgs"), list) else []
        known = [user["name"], *(str(org.get("name")) for org in orgs or [] if isinstance(org, dict))]
        namespace = settings.namespace or known[0]
        if namespace not in known:
            return denied(
                service, f"{known[0]} is not in {namespace!r}", f"set namespace in [jobs] to one of {', '.join(known)}"
            )
        hardware = (await ask(f"{self._hub}/api/jobs/hardware", self._key(HF_KEY))).body
        if not isinstance(hardware, list):
            raise Strange(f"{shown(self._hub)} lists no hardware")
        prices = {one.get("name"): one.get("unitCostUSD") for one in hardware if isinstance(one, dict)}
        if not isinstance(price := prices.get(settings.flavor), (int, float)):
            some = ", ".join(sorted(str(name) for name in prices)[:8]) or "none"
            return denied(service, f"{settings.flavor!r} is not listed with a price", f"set flavor in [jobs]: {some}")
        return sound(service, f"{namespace} runs on {settings.flavor} at {price:.4f} USD a minute")

    async def _user(self) -> dict[str, Any]:
        body = (await ask(f"{self._hub}/api/whoami-v2", self._key(HF_KEY))).body
        if not isinstance(body, dict) or not isinstance(body.get("name"), str):
            raise Strange(f"{shown(self._hub)} does not say whose token this is")
        return body

    @property
    def _hub(self) -> str:
        return (self._key(ENDPOINT) or HUGGING_FACE).rstrip("/")

    async def training(self) -> Finding:
        service = "training here"
        if self._services.jobs == "huggingface":
            return absent(service, "trainings run on Hugging Face Jobs", "set backend in [jobs] to 'local'")
        if self._services.family == "student":
            return here(service, "the CPU student, which needs nothing more")
        if TRAIN_PYTHON.exists():
            return here(service, f"adapters are trained by {TRAIN_PYTHON}")
        missing = [name for name in TRAINING if importlib.util.find_spec(name) is None]
        if missing:
            return here(
                service,
                f"an adapter cannot be trained without {', '.join(missing)}",
                "make setup-train",
            )
        return here(service, f"{', '.join(TRAINING)} are installed")

    async def budget(self) -> Finding:
        state = Budget(self._workspace, self._services).state()
        approve = self._services.settings.budget.approve_usd
        words = (
            f"{state.left:.2f} of {state.limit:.2f} USD left ({state.spent:.2f} spent, {state.reserved:.2f} reserved)"
        )
        who = f"a job of up to {approve:.2f} USD needs nobody" if approve else "a person approves each job that costs"
        empty = "raise usd in [budget] of etude.toml" if state.left <= 0 and self._costs() else None
        return here("budget", f"{words}; {who}", empty)

    def _costs(self) -> bool:
        """Whether anything is configured that sends a bill."""
        asked = (self._services.teacher, self._services.prompt)
        return self._services.jobs == "huggingface" or any(one is not None and not one.is_own for one in asked)

    def _key(self, name: str) -> str | None:
        return self._services.key(name)


def broken(service: str, error: Exception) -> Finding:
    """What a failed question says of a service that is configured."""
    said = str(error)
    if isinstance(error, NotAllowed):
        return denied(service, said, _new_key(service))
    if isinstance(error, NotReached):
        return unreachable(service, said, "check the network and the address, then etude doctor again")
    if isinstance(error, Unwell):
        return unreachable(service, said, TRY_AGAIN)
    if isinstance(error, Strange):
        return denied(service, said, f"check the address in {_address_of(service)}")
    return here(service, said, "mend what this says in etude.toml or in the environment")  # a ValueError of ours


def _new_key(service: str) -> str:
    if service.startswith("mistral"):
        return SET_MISTRAL
    return SET_HF if service.startswith("hugging face") else SET_WANDB


def _address_of(service: str) -> str:
    named = {"weave": "WF_TRACE_SERVER_URL", "w&b": "WANDB_BASE_URL", "w&b mcp": "url of [agent.wandb]"}
    return named.get(service, MISTRAL_URL if service.startswith("mistral") else ENDPOINT)


def _command(service: str, program: str) -> Finding:
    if shutil.which(program) is None:
        return here(service, f"{program!r} is not on the PATH", f"install {program}, or set command in [agent.wandb]")
    return here(service, f"{program} starts it on this machine")


def _names(body: Any) -> set[str] | None:
    """The models in a list, with their other names; None where it is none."""
    listed = body.get("data") if isinstance(body, dict) else body
    if not isinstance(listed, list):
        return None
    models: Sequence[dict[str, Any]] = [one for one in listed if isinstance(one, dict)]
    others = [name for one in models for name in one.get("aliases") or [] if isinstance(name, str)]
    return {str(one.get("id")) for one in models} | set(others)


def _table(whole: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = whole.get(name)
    return found if isinstance(found, Mapping) else {}
