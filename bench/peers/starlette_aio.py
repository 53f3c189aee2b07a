# mypy: disable-error-code="import-not-found"
# (Starlette lives in the peers' own virtual environment and in no lock of ours.)
"""The same service as one writes it with Starlette; served by uvicorn."""

import asyncio

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def aio(request: Request) -> JSONResponse:
    """Wait for `?delay=SECONDS`, then say so."""
    delay = float(request.query_params["delay"])
    await asyncio.sleep(delay)
    return JSONResponse({"delay": delay})


app = Starlette(routes=[Route("/aio", aio)])
