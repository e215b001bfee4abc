"""Who may look: everybody on this machine, who has the token, or whom a proxy vouches for."""

from __future__ import annotations

import hashlib
import hmac
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from urllib.parse import quote, urlsplit

from itsdangerous import BadSignature, TimestampSigner
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.config import ConsoleConfig

COOKIE = "journey_console"
STAYS_SECONDS = 12 * 3600
"""How long a login counts."""
OPEN_PATHS = ("/login", "/healthz", "/static/")
"""What whoever is not logged in yet needs; none of it holds data."""
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_SIGNED = "looks"


class Logins:
    """Makes and checks cookies. They are signed with a key made from the token: another token ends all logins.

    Args:
        token: the secret; not empty.
    """

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        key = hmac.new(self._token, b"journey console cookie", hashlib.sha256).hexdigest()
        self._signer = TimestampSigner(key, salt=COOKIE, digest_method=hashlib.sha256)

    def knows(self, given: str) -> bool:
        """Whether this is the token; takes as long for a wrong one, whatever is wrong with it."""
        return hmac.compare_digest(
            hashlib.sha256(given.encode("utf-8", "surrogateescape")).digest(), hashlib.sha256(self._token).digest()
        )

    def cookie(self) -> str:
        """The value of a cookie for somebody who had the token."""
        return self._signer.sign(_SIGNED).decode()

    def accepts(self, cookie: str) -> bool:
        """Whether a cookie is one of ours, and not too old."""
        try:
            return self._signer.unsign(cookie, max_age=STAYS_SECONDS).decode() == _SIGNED
        except (BadSignature, UnicodeError):
            return False


class LoginMiddleware:
    """Lets through who may look; others get the page where the token is asked for."""

    def __init__(self, app: ASGIApp, config: ConsoleConfig) -> None:
        self._app = app
        self._config = config
        self._logins = Logins(config.token) if config.token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI says."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        by_proxy = self._is_proxy(scope)
        forwarded = headers.get("x-forwarded-proto", "").strip().lower()
        if by_proxy and forwarded in ("http", "https"):
            scope["scheme"] = forwarded
        if not self._config.asks_for_login:
            # Without a login, a page of somebody else's whose name points to this machine could read ours through the browser.
            if not _is_loopback_name(headers.get("host", "")):
                answer = PlainTextResponse("This console answers to localhost and 127.0.0.1 only.\n", 421)
                await answer(scope, receive, send)
                return
            scope.setdefault("state", {})["user"] = ""
        elif (user := self._user(headers, by_proxy=by_proxy)) is not None:
            scope.setdefault("state", {})["user"] = user
        elif not scope["path"].startswith(OPEN_PATHS):
            await self._turn_away(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _user(self, headers: Headers, *, by_proxy: bool) -> str | None:
        """Who this is; '' for somebody with the token, None for nobody known."""
        if self._config.user_header and by_proxy:
            name = headers.get(self._config.user_header, "").strip()
            if name:
                return name[:200]
        if self._logins is not None:
            cookies: SimpleCookie = SimpleCookie()
            try:
                cookies.load(headers.get("cookie", ""))
            except CookieError:
                return None
            morsel = cookies.get(COOKIE)
            if morsel is not None and self._logins.accepts(morsel.value):
                return ""
        return None

    def _is_proxy(self, scope: Scope) -> bool:
        client = scope.get("client")
        if not client:
            return False
        try:
            address = ip_address(client[0])
        except ValueError:
            return False
        return any(address in network for network in self._config.proxies)

    async def _turn_away(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer: Response
        if self._logins is None:
            answer = PlainTextResponse("The proxy in front of this console did not say who you are.\n", 403)
        elif scope["method"] == "GET" and "/csv/" not in scope["path"]:
            wanted = scope["path"] + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")
            answer = RedirectResponse(f"/login?next={quote(wanted, safe='')}" if len(wanted) < 2_000 else "/login", 303)
        else:
            answer = PlainTextResponse("Log in first.\n", 401)
        await answer(scope, receive, send)


def safe_next(wanted: str) -> str:
    """Where to go after the login: a page of ours, whatever the address says."""
    parts = urlsplit(wanted)
    if parts.scheme or parts.netloc or not wanted.startswith("/") or wanted.startswith(("//", "/\\", "/login")):
        return "/"
    return wanted if wanted.isprintable() and "\\" not in wanted else "/"


def _is_loopback_name(host: str) -> bool:
    try:
        return urlsplit(f"//{host}").hostname in _LOOPBACK_NAMES
    except ValueError:
        return False


class SecurityHeaders:
    """What a browser may do with what we send. Scripts and styles come from here only, and never from inside a page."""

    ALWAYS = {  # noqa: RUF012  constant
        "Content-Security-Policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self';"
            " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    }

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI says."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.ALWAYS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
                if scope.get("scheme") == "https":
                    headers["Strict-Transport-Security"] = "max-age=31536000"
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)
