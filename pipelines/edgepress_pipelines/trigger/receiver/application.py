"""What both servers answer alike: paths and methods there are not, and refusals, as JSON."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Endpoint = Callable[[Request], Awaitable[Response]]
"""Raises ``HTTPException`` for what it refuses, with the reason as its detail."""


def build_application(
    method: str, endpoints: Mapping[str, Endpoint], refused: Callable[[Request, int, str], None] = lambda *_: None
) -> Starlette:
    """An application of some paths, each for one method.

    Args:
        method: of all paths.
        endpoints: what answers, by path.
        refused: is told of each request that is refused, with status and reason.
    """

    async def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        reason, headers = error.detail, dict(error.headers or {})
        if error.status_code == 404:
            reason = f"there is no such path; there are {', '.join(endpoints)}"
        elif error.status_code == 405:
            headers["Allow"] = ", ".join(sorted(headers["Allow"].split(", ")))
            reason = f"this path takes {method}"
        refused(request, error.status_code, reason)
        return JSONResponse({"error": reason}, error.status_code, headers)

    routes = [Route(path, endpoint, methods=[method]) for path, endpoint in endpoints.items()]
    application = Starlette(routes=routes, exception_handlers={HTTPException: refuse})
    application.router.redirect_slashes = False
    return application
