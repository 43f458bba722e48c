"""Which services a server may use: the configuration and the keys in the environment, read once at its start.

Without keys everything is embedded. A key alone switches its service on (`auto`); the configuration can hold it off, or
insist on it. Nothing is reached here, and no key is ever shown: `repr` leaves the environment out.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from servers.core.backends import Backends
from servers.core.dataset import Card
from servers.core.job_files import EndpointSpec
from servers.core.server_url import is_own, refuse_url
from servers.core.settings import EndpointSettings, Settings

WANDB_KEY, MISTRAL_KEY, MISTRAL_URL, HF_KEY = "WANDB_API_KEY", "MISTRAL_API_KEY", "MISTRAL_SERVER_URL", "HF_TOKEN"
# Assumed of Mistral's own server where no price is set: dearer than its general models, because a cap has to hold.
ASSUMED_USD_PER_MILLION = (3.0, 9.0)
RETRIES_PAID = 2  # an answer that is lost on its way is paid for, and asked for again
TEACHER_MODEL, PROMPT_MODEL = "mistral-large-latest", "ministral-3b-2512"  # on Mistral's own server


@dataclass(frozen=True)
class Endpoint:
    """A language model that answers at an endpoint of Mistral's API."""

    model: str
    server_url: str | None
    """None for Mistral's own server."""
    settings: EndpointSettings
    has_key: bool = False

    @property
    def is_own(self) -> bool:
        """Whether the server is one's own, which sends no bill; one elsewhere that takes a key may send one."""
        return self.server_url is not None and is_own(self.server_url, self.has_key)

    @property
    def usd_per_million(self) -> tuple[float, float]:
        """What a million tokens cost, read and written: as configured, else assumed."""
        assumed = (0.0, 0.0) if self.is_own else ASSUMED_USD_PER_MILLION
        given = (self.settings.usd_per_million_input, self.settings.usd_per_million_output)
        read, written = (price if value is None else value for value, price in zip(given, assumed, strict=True))
        return read, written

    def spec(self, requests: int, read_tokens: int, written_tokens: int) -> EndpointSpec:
        """What a job is told that asks it.

        Args:
            requests: How many questions.
            read_tokens: What one takes at most, estimated.
            written_tokens: What an answer takes at most.

        Raises:
            ValueError: the server's address is none, or holds a secret.
        """
        if self.server_url is not None:
            refuse_url(self.server_url, MISTRAL_URL)
        read, written = self.usd_per_million
        at_most = RETRIES_PAID * requests * (read_tokens * read + written_tokens * written) / 1_000_000
        return EndpointSpec(
            model=self.model,
            server_url=self.server_url,
            timeout_s=self.settings.timeout_s,
            concurrency=self.settings.concurrency,
            usd_per_million_input=read,
            usd_per_million_output=written,
            max_usd=round(at_most, 6),
        )

    def paced(self, begun: EndpointSpec) -> EndpointSpec:
        """What a job was told, with the pace that the configuration names now; its prices stay what they were."""
        pace = {"timeout_s": self.settings.timeout_s, "concurrency": self.settings.concurrency}
        return begun.model_copy(update=pace)


@dataclass(frozen=True)
class Services:
    """What stands behind each part."""

    settings: Settings = field(default_factory=Settings)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Where keys are looked for; the default has none, so everything is embedded."""

    @classmethod
    def here(cls, settings: Settings) -> "Services":
        """What this process may use."""
        return cls(settings, dict(os.environ))

    def key(self, name: str) -> str | None:
        """A secret, or None where it is not set."""
        return self.environment.get(name) or None

    def refuse_missing(self) -> None:
        """Refuse a configuration that insists on a service without its key, before any work rests on it.

        Raises:
            ValueError: the key is not set; the message names it.
        """
        _ = (self.tracking, self.teacher, self.prompt, self.jobs)

    @property
    def tracking(self) -> Literal["local", "wandb"]:
        chosen = self.settings.tracking.backend
        if chosen == "auto":
            return "wandb" if self.key(WANDB_KEY) else "local"
        if chosen == "wandb":
            self._needs(WANDB_KEY, "[tracking] backend")
        return chosen

    @property
    def teacher(self) -> Endpoint | None:
        """Who writes new examples; None where the embedded teacher does."""
        return self._endpoint("teacher", self.settings.teacher, TEACHER_MODEL)

    @property
    def prompt(self) -> Endpoint | None:
        """The base model that is asked without training; None where there is none."""
        return self._endpoint("prompt", self.settings.prompt, PROMPT_MODEL)

    @property
    def jobs(self) -> Literal["local", "huggingface"]:
        chosen = self.settings.jobs.backend
        if chosen == "auto":
            return "huggingface" if self.key(HF_KEY) else "local"
        if chosen == "huggingface":
            self._needs(HF_KEY, "[jobs] backend")
        return chosen

    @property
    def family(self) -> Literal["student", "lora"]:
        """What is trained."""
        chosen = self.settings.model.family
        if chosen == "auto":
            return "lora" if self.jobs == "huggingface" else "student"
        return chosen

    def coordinates(self, task_name: str) -> tuple[str, str]:
        """Entity and project under which runs and traces of a task are kept."""
        project = self.settings.tracking.project or self.key("WANDB_PROJECT") or f"etude-{task_name}"
        if self.tracking == "local":
            return "local", project if self.settings.tracking.project else f"etude-{task_name}"
        return self.settings.tracking.entity or self.key("WANDB_ENTITY") or "", project

    def backends(self, card: Card) -> Backends:
        """What a run on this dataset works with, in words for whoever reads its results."""
        embedded = "demo-world" if card.synthetic else "recombination"
        return Backends(
            tracking=self.tracking,
            teacher=self.teacher.model if self.teacher else embedded,
            model=self.settings.model.base if self.family == "lora" else "student",
            jobs=self.jobs,
            prompt=self.prompt.model if self.prompt else None,
        )

    def _endpoint(self, table: str, settings: EndpointSettings, default: str) -> Endpoint | None:
        url, key = self.key(MISTRAL_URL), self.key(MISTRAL_KEY)
        if settings.backend == "off":
            return None
        if settings.backend == "auto" and (settings.model is None if url else key is None):
            return None
        if not (url or key):
            raise ValueError(f"[{table}] backend is 'mistral', but neither {MISTRAL_KEY} nor {MISTRAL_URL} is set")
        return Endpoint(settings.model or default, url, settings, has_key=key is not None)

    def _needs(self, name: str, wanted_by: str) -> None:
        if not self.key(name):
            raise ValueError(f"{wanted_by} needs {name} in the environment; set it, or take the line out")
