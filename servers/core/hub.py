"""The Hugging Face Hub: how it is reached, what is tried again, who pays there, and what its hardware costs.

Everything that asks the Hub goes through `asked`: a broken connection, a server's error, "too many requests" and an
answer that is none are tried again a few times, everything else is one clear line. No message holds a key.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

import httpx2

from servers.core.redaction import redacted
from servers.core.services import HF_KEY, Services
from servers.core.words import cleaned

if TYPE_CHECKING:  # takes a second to load
    from huggingface_hub import HfApi

T = TypeVar("T")

ENDPOINT = "HF_ENDPOINT"
FIRST_WAIT, TIMEOUT = "ETUDE_HUB_WAIT_S", "ETUDE_HUB_TIMEOUT_S"  # for whoever sits behind a slow line, and for tests
FIRST_WAIT_S, MOST_WAIT_S, TRIES = 1.0, 60.0, 4
TIMEOUT_S = 60.0  # without a byte; the library's own client waits for ever
PATIENCE_S = 20.0  # the library tries some calls again by itself, for half a minute, and tells nobody
LONG_PATIENCE_S = 600.0  # where something runs or was paid for
REASON_CHARS = 300
TRANSIENT = (408, 429, 500, 502, 503, 504)
WAYS_OUT = {
    401: "HF_TOKEN is missing, wrong or expired; make one at https://huggingface.co/settings/tokens",
    402: "the account cannot pay; add a payment method or credits at https://huggingface.co/settings/billing",
    403: "HF_TOKEN may not do this; give it write access to repositories and jobs of this namespace",
    404: "it is not there, or HF_TOKEN may not see it",
}
# Of the connection, of the server, and of an answer that is none.
FAILURES = (
    *(httpx2.HTTPError, httpx2.StreamError, OSError),
    *(ValueError, KeyError, TypeError, AttributeError),
    RuntimeError,  # the library's own word for an upload that broke off; what happened is its cause
)


class HubError(ValueError):
    """The Hub did not do what it was asked.

    Args:
        message: What, and why.
        status: Of its answer; None where there was none, or one that cannot be read.
        reached: Whether it may have done it all the same.
        wait_s: How long it asks to be left alone.
    """

    def __init__(self, message: str, status: int | None, reached: bool, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.status, self.reached, self.wait_s = status, reached, wait_s


def api_for(services: Services) -> "HfApi":
    """The Hub as the token's user sees it."""
    from huggingface_hub import HfApi, constants, set_client_factory
    from huggingface_hub.utils.tqdm import disable_progress_bars

    # The other way to move files has a client, time limits and a cache of its own: what passes here may be sealed next.
    constants.HF_HUB_DISABLE_XET = True
    disable_progress_bars()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # what is tried again is no news
    timeout_s = _seconds(services.environment, TIMEOUT, TIMEOUT_S)
    # Its own factory but for the time limit.
    set_client_factory(lambda: httpx2.Client(follow_redirects=True, timeout=timeout_s))
    return HfApi(endpoint=services.key(ENDPOINT), token=services.key(HF_KEY) or False)


def asked(
    services: Services, what: str, call: Callable[[], T], tries: int = TRIES, patience_s: float = PATIENCE_S
) -> T:
    """What a call of the Hub returns, tried again where that may help.

    Args:
        services: Say how long to wait, and which words are keys.
        what: Is asked for, as in "does not {what}".
        call: The call; it may be made several times.
        tries: How often at most.
        patience_s: After how long no other try is made, unless the service itself asks to wait.

    Raises:
        HubError: it failed, in one line.
    """
    wait_s, began = first_wait_s(services), time.monotonic()
    for left in range(tries - 1, -1, -1):
        try:
            return call()
        except FAILURES as failure:
            if isinstance(failure, HubError):
                raise
            cause = failure.__cause__
            error = cause if isinstance(failure, RuntimeError) and isinstance(cause, Exception) else failure
            status = status_of(error)
            is_late = time.monotonic() - began > patience_s
            if left == 0 or is_late or (status is not None and status not in TRANSIENT):
                raise _refused(services, what, error, status) from error
            time.sleep(min(max(wait_s, _retry_after_s(error)), MOST_WAIT_S))
            wait_s *= 2
    raise AssertionError("at least one try is made")


def first_wait_s(services: Services) -> float:
    """How long to wait before something is tried a second time."""
    return _seconds(services.environment, FIRST_WAIT, FIRST_WAIT_S)


def resolved_namespace(services: Services) -> str:
    """The user or organisation whose jobs run: the configured one, else the token's own user.

    Raises:
        HubError: the Hub does not say who that is.
    """
    if services.settings.jobs.namespace:
        return services.settings.jobs.namespace
    return asked(services, "say who the token's user is", lambda: str(api_for(services).whoami()["name"]))


def hardware_price(services: Services, flavor: str) -> float | None:
    """USD a minute, as the Hub lists it now; None for a flavor that is not listed, or priced by anything but minutes.

    Raises:
        HubError: the Hub does not tell its prices.
    """
    listed = asked(services, "say what its hardware costs", lambda: api_for(services).list_jobs_hardware())
    found = {one.name: one for one in listed}.get(flavor)
    return float(found.unit_cost_usd) if found is not None and found.unit_label == "minute" else None


def status_of(error: Exception) -> int | None:
    """Of the answer that an error tells of; None where there was none."""
    response = getattr(error, "response", None)
    return response.status_code if isinstance(response, httpx2.Response) else None


def _retry_after_s(error: Exception) -> float:
    response = getattr(error, "response", None)
    words = response.headers.get("retry-after", "") if isinstance(response, httpx2.Response) else ""
    return min(float(words), MOST_WAIT_S) if words.isdecimal() else 0.0


def _refused(services: Services, what: str, error: Exception, status: int | None) -> HubError:
    reason = cleaned(redacted(str(error), services.environment), REASON_CHARS) or type(error).__name__
    if status is None and not isinstance(error, (httpx2.HTTPError, OSError)):
        reason = f"its answer cannot be read ({reason})"
    way_out = WAYS_OUT.get(status or 0, "try again, check HF_TOKEN, or set backend in [jobs] to 'local'")
    reached = not isinstance(error, httpx2.ConnectError) and (status is None or status in TRANSIENT)
    return HubError(f"Hugging Face does not {what}: {reason}; {way_out}", status, reached, _retry_after_s(error))


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    words = environment.get(name, "")
    try:
        value = float(words) if words else default
    except ValueError:
        return default
    return value if math.isfinite(value) and value >= 0 else default
