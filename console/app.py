"""The application: its addresses, and what becomes of errors."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from console import customers, pages, people, targets
from console.asking import Memory, begin
from console.config import ConsoleConfig
from console.login import COOKIE, STAYS_SECONDS, LoginMiddleware, Logins, SecurityHeaders, safe_next
from console.questions import QUESTIONS
from console.rendering import STATIC, render
from console.spreadsheets import as_text
from console.throttle import Throttle
from console.warehouse import Problem, UnreachableError, Warehouse

logger = logging.getLogger(__name__)
_LARGEST_FORM = 8_192
_STATUS = {"missing": 404, "denied": 403, "failed": 502}
_WITHOUT_CSV = frozenset({"funnels", "prospect-now"})


def build_app(config: ConsoleConfig, warehouse: Warehouse | None = None, throttle: Throttle | None = None) -> Starlette:
    """The console as an ASGI application.

    Args:
        config: how it runs.
        warehouse: what it asks; by default one of its own, which it closes.
        throttle: how fast tokens may be guessed; by default as `console.throttle` says.
    """
    asked = warehouse or Warehouse(config.clickhouse)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await asked.close()

    app = Starlette(
        routes=[
            Route("/", pages.funnel),
            Route("/flow", pages.flow),
            Route("/cohorts", pages.cohorts),
            Route("/velocity", pages.velocity),
            Route("/retention", customers.retention),
            Route("/targets", targets.targets),
            Route("/campaigns", pages.campaigns),
            Route("/attribution", pages.attribution),
            Route("/handoffs", people.handoffs),
            Route("/stalled", people.stalled),
            Route("/accounts", customers.accounts),
            Route("/prospects", people.prospects),
            Route("/prospects/{prospect}", people.prospect),
            Route("/search", people.search, methods=["POST"]),
            Route("/health", people.health),
            Route("/csv/{name}", csv),
            Route("/csv/{name}/{prospect:uuid}", csv),
            Route("/login", login, methods=["GET", "POST"]),
            Route("/logout", logout, methods=["POST"]),
            Route("/healthz", alive),
            Mount("/static", _Static(directory=STATIC)),
        ],
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(LoginMiddleware, config=config),
            Middleware(GZipMiddleware, minimum_size=1_000),
        ],
        exception_handlers={UnreachableError: unreachable, HTTPException: refused, Exception: failed},
        lifespan=lifespan,
    )
    app.state.config, app.state.warehouse, app.state.memory = config, asked, Memory()
    app.state.throttle = throttle or Throttle()
    return app


class _Static(StaticFiles):
    """Files that may be kept for good: their addresses change with what they hold."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """As Starlette says."""
        response = await super().get_response(path, scope)
        marked = b"v=" in scope["query_string"]
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if marked else "no-cache"
        return response


async def csv(request: Request) -> Response:
    """The answer to a question, whole, as CSV that a spreadsheet may open."""
    name = request.path_params["name"]
    if name not in QUESTIONS or name in _WITHOUT_CSV:
        raise HTTPException(404)
    prospect = str(request.path_params.get("prospect", ""))
    asking = await begin(request, prospect=prospect)
    if asking.filters.notices:
        return PlainTextResponse("\n".join(asking.filters.notices) + "\n", 400)
    found = await asking.warehouse.csv(await asking.query(name))
    if isinstance(found, Problem):
        return PlainTextResponse(found.text + "\n", _STATUS[found.kind])
    return StreamingResponse(
        as_text(found),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )


async def login(request: Request) -> Response:
    """Ask for the token, and remember who had it. It is never part of an address."""
    config: ConsoleConfig = request.app.state.config
    wanted = safe_next(request.query_params.get("next", "/"))
    if not config.token:
        return RedirectResponse(wanted, 303)
    if request.method == "GET":
        return render(request, "login.html", next=wanted, wrong="")
    if not _is_own(request):
        return PlainTextResponse("Log in from the console's own page.\n", 403)
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST_FORM:
            return PlainTextResponse("That is too long for a token.\n", 413)
    form = parse_qs(body.decode("utf-8", "replace"))
    wanted = safe_next(form.get("next", ["/"])[0])
    logins, throttle = Logins(config.token), request.app.state.throttle
    # From here to the count nothing is awaited, so that no try is judged on what another one is about to take.
    if seconds := throttle.seconds_to_wait():
        said = f"Too many wrong tokens were given. Try again in {seconds} s."
        response: Response = render(request, "login.html", 429, next=wanted, wrong=said)
        response.headers["Retry-After"] = str(seconds)
        return response
    if not logins.knows(form.get("token", [""])[0]):
        logger.warning("somebody gave a wrong token")
        await throttle.count_wrong_try()
        return render(request, "login.html", 401, next=wanted, wrong="That is not the token.")
    response = RedirectResponse(wanted, 303)
    response.set_cookie(
        COOKIE,
        logins.cookie(),
        max_age=STAYS_SECONDS,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
        path="/",
    )
    return response


async def logout(request: Request) -> Response:
    """Forget who had the token, in this browser."""
    if not _is_own(request):
        return PlainTextResponse("Log out on the console's own page.\n", 403)
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE, httponly=True, samesite="lax")
    return response


def _is_own(request: Request) -> bool:
    """Whether a form was sent from a page of ours, as far as the browser says."""
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host", "")


async def alive(_: Request) -> Response:
    """For health checks: that this process answers."""
    return PlainTextResponse("alive\n")


async def unreachable(request: Request, error: Exception) -> Response:
    """ClickHouse is away."""
    logger.warning("%s", error)
    if request.url.path.startswith("/csv/"):
        return PlainTextResponse(f"{error}\n", 503)
    return render(request, "error.html", 503, title="ClickHouse does not answer", text=str(error))


async def refused(request: Request, error: Exception) -> Response:
    """No such page, or no such method."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    title = {404: "There is no such page", 405: "That can't be done here"}.get(status, "That did not work")
    return render(request, "error.html", status, title=title, text="")


async def failed(request: Request, error: Exception) -> Response:
    """A mistake of ours: Starlette logs the traceback, people get no more than this."""
    del error
    return render(request, "error.html", 500, title="That did not work", text="The console's log says more.")
