"""What Hugging Face says of its hardware and of a token's user; nothing can be run here."""

from types import TracebackType
from typing import Any, Self

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.doubles.loopback import LoopbackServer

TOKEN = "hf_" + "t" * 34


class PriceList:
    """The double; `async with` is not needed: it serves from `with` on.

    Args:
        prices: USD by flavor.
        unit: What the prices are for.
    """

    def __init__(self, prices: dict[str, float], unit: str = "minute") -> None:
        self.prices, self.unit = prices, unit
        self.status = 200
        """Of every answer."""
        self.user = "ada"
        self.asked: list[str] = []

    def __enter__(self) -> Self:
        routes = [Route(path, self._answer) for path in ("/api/jobs/hardware", "/api/whoami-v2")]
        self._server = LoopbackServer(Starlette(routes=routes))
        self.url = self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()

    @property
    def environment(self) -> dict[str, str]:
        """What points Hugging Face's own library here."""
        return {"HF_TOKEN": TOKEN, "HF_ENDPOINT": self.url, "ETUDE_HUB_WAIT_S": "0"}

    async def _answer(self, request: Request) -> Response:
        self.asked.append(request.url.path)
        if self.status != 200:
            return JSONResponse({"error": f"no, {request.headers.get('authorization')}"}, self.status)
        if request.url.path.endswith("whoami-v2"):
            return JSONResponse({"type": "user", "name": self.user, "auth": {"accessToken": {"role": "write"}}})
        return JSONResponse([self._hardware(flavor, usd) for flavor, usd in self.prices.items()])

    def _hardware(self, flavor: str, usd: float) -> dict[str, Any]:
        return {
            "name": flavor,
            "prettyName": flavor,
            "cpu": "4 vCPU",
            "ram": "16 GB",
            "accelerator": None,
            "unitCostMicroUSD": round(usd * 1e6),
            "unitCostUSD": usd,
            "unitLabel": self.unit,
        }
