"""The Hugging Face Hub: who pays there, and what its hardware costs."""

from typing import TYPE_CHECKING

import httpx2

from servers.core.redaction import redacted
from servers.core.services import HF_KEY, Services
from servers.core.words import cleaned

if TYPE_CHECKING:  # takes a second to load
    from huggingface_hub import HfApi

ENDPOINT = "HF_ENDPOINT"
REASON_CHARS = 200
# Of the connection, of the server, and of an answer that is none.
FAILURES = (httpx2.HTTPError, OSError, ValueError, KeyError, TypeError, AttributeError)


def hub_api(services: Services) -> "HfApi":
    """The Hub as the token's user sees it."""
    from huggingface_hub import HfApi

    return HfApi(endpoint=services.key(ENDPOINT), token=services.key(HF_KEY) or False)


def resolved_namespace(services: Services) -> str:
    """The user or organisation whose jobs run: the configured one, else the token's own user.

    Raises:
        ValueError: the Hub does not say who that is.
    """
    if services.settings.jobs.namespace:
        return services.settings.jobs.namespace
    try:
        return str(hub_api(services).whoami()["name"])
    except FAILURES as error:
        raise ValueError(_refused(services, "who the token's user is", error)) from error


def hardware_price(services: Services, flavor: str) -> float | None:
    """USD a minute, as the Hub lists it now; None for a flavor that is not listed, or priced by anything but minutes.

    Raises:
        ValueError: the Hub does not tell its prices.
    """
    try:
        listed = {one.name: one for one in hub_api(services).list_jobs_hardware()}
    except FAILURES as error:
        raise ValueError(_refused(services, "what its hardware costs", error)) from error
    found = listed.get(flavor)
    return float(found.unit_cost_usd) if found is not None and found.unit_label == "minute" else None


def _refused(services: Services, what: str, error: Exception) -> str:
    reason = cleaned(redacted(str(error), services.environment), REASON_CHARS) or type(error).__name__
    return f"Hugging Face does not say {what}: {reason}; try again, check HF_TOKEN, or set backend in [jobs] to 'local'"
