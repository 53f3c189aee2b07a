"""
Who may use the control pages: the right host name, our own pages, those who know the token.

`/aio` and its like are open to every page and every client. Everything else could be made to act
by a foreign page in the browser of somebody who sits on the same machine, through a name that
resolves here (DNS rebinding) or through a form or script (cross-site request forgery).
"""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Awaitable, Collection

from aiohttp import web

from app import __version__, keys
from app.errors import Problem
from app.grammar import quoted
from app.reply import OPEN_HEADERS
from app.responses import Handler, is_open, prefers_html

PROBES = frozenset({"/healthz", "/readyz"})
SIGN_IN = "/sign-in"
COOKIE = "dawdle"
SAFE_METHODS = frozenset({"GET", "HEAD"})

# Names under which only this machine, or a container on it, can mean us. RFC 6761 section 6.3;
# host.docker.internal is how containers call their host.
OUR_NAMES = frozenset({"localhost", "host.docker.internal"})

# RFC 9110 section 7.2 and RFC 6454 section 6.2, as far as browsers write them: no user, no zone.
_HOST = re.compile(
    r"(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_.-]+))(?::(?P<port>[0-9]{0,5}))?", re.ASCII
)
_ORIGIN = re.compile(r"https?://([^/?#@]+)")
LAST_PORT = 65_535

# For our own pages: nothing from elsewhere, nothing inside a foreign frame, no word to others.
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; "
    "script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


async def harden(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Give every reply the headers of its side of the house, whoever made it."""
    for name, value in (OPEN_HEADERS if is_open(request.path) else PAGE_HEADERS).items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = f"Dawdle/{__version__}"


@web.middleware
def control_pages_are_ours(request: web.Request, handler: Handler) -> Awaitable[web.StreamResponse]:
    """
    Refuse, before anything happens, what a foreign page or a stranger may not do.

    No coroutine of its own: open paths would pay for it.
    """
    if not is_open(request.path):
        settings = request.app[keys.SETTINGS]
        check_host(request.host, settings.allowed_hosts)
        check_site(request)
        if settings.token is not None and not is_public(request.path):
            check_token(request, settings.token.get_secret_value())
    return handler(request)


def is_public(path: str) -> bool:
    """Whether the path needs no token: probes, the sign-in page and what it looks like."""
    return path in PROBES or path == SIGN_IN or path.startswith("/static/")


def check_host(host: str, allowed: Collection[str]) -> None:
    """
    Refuse host names that a stranger could point here.

    Raises:
        Problem: the host is no IP literal, no local name and not allowed.
    """
    name = _host_name(host)
    if not (_is_address(name) or _is_local(name) or name in allowed):
        raise Problem(
            "foreign-host",
            f"{quoted(name)} is not a name of this server; use its address or localhost, "
            "or add the name to allowed_hosts",
        )


def _host_name(host: str) -> str:
    """The name in a `Host` header, lower case, without port and brackets; empty if it is none."""
    match = _HOST.fullmatch(host.lower())
    if match is None or int(match["port"] or 0) > LAST_PORT:
        return ""
    return (match["address"] or match["name"]).rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_local(name: str) -> bool:
    return bool(name) and ("." not in name or name in OUR_NAMES or name.endswith(".localhost"))


def check_site(request: web.Request) -> None:
    """
    Refuse what a page of another origin sends, as far as the browser tells.

    By `Sec-Fetch-Site` (https://www.w3.org/TR/fetch-metadata/) and `Origin` (RFC 6454). A link
    from anywhere to a page of ours is welcome; programs send neither header.

    Raises:
        Problem: the request comes from another site, or from another origin.
    """
    headers = request.headers
    if headers.get("Sec-Fetch-Site") in ("cross-site", "same-site") and not _is_visit(request):
        raise Problem("foreign-origin", "another site sent this; open our own page and do it there")
    origin = headers.get("Origin")
    if origin is not None and _authority(origin) != request.host.lower():
        raise Problem(
            "foreign-origin",
            f"the origin {quoted(origin)} is not ours; open our own page and do it there",
        )


def check_no_visit(request: web.Request) -> None:
    """
    Refuse a link from another site to a page that does work when it is asked for.

    Raises:
        Problem: a browser says that another site led here.
    """
    if request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
        raise Problem("foreign-origin", "another site led here; type the address to do it yourself")


def _authority(origin: str) -> str | None:
    """`HOST:PORT` of an origin; None for what is none, such as `null`."""
    match = _ORIGIN.fullmatch(origin.lower())
    return match and match[1]


def _is_visit(request: web.Request) -> bool:
    """A person followed a link to a page, in a window of its own, and nothing changes by it."""
    headers = request.headers
    return (
        request.method in SAFE_METHODS
        and headers.get("Sec-Fetch-Mode") == "navigate"
        and headers.get("Sec-Fetch-Dest") == "document"
    )


# --- the token -----------------------------------------------------------------------------------


def check_token(request: web.Request, token: str) -> None:
    """
    Let through who shows the token (RFC 6750 section 2.1) or has signed in with it.

    Raises:
        HTTPSeeOther: a person with a browser, sent to the page to sign in.
        Problem: anybody else.
    """
    if is_bearer(request.headers.get("Authorization", ""), token) or has_signed_in(request, token):
        return
    if request.method in SAFE_METHODS and prefers_html(request.headers.get("Accept", "")):
        raise web.HTTPSeeOther(SIGN_IN)
    raise Problem("sign-in-required", "this server has a token; send Authorization: Bearer TOKEN")


def is_bearer(authorization: str, token: str) -> bool:
    """Whether the header carries the token."""
    scheme, _, credentials = authorization.partition(" ")
    return scheme.lower() == "bearer" and same_token(credentials.strip(), token)


def has_signed_in(request: web.Request, token: str) -> bool:
    """Whether the cookie is the one that `sign_in` gave."""
    return same_token(request.cookies.get(COOKIE, ""), _ticket(token))


def sign_in(response: web.StreamResponse, token: str, *, secure: bool) -> None:
    """Give the browser a cookie for this session; no script and no other site gets it."""
    response.set_cookie(
        COOKIE, _ticket(token), httponly=True, samesite="Strict", secure=secure, path="/"
    )


def sign_out(response: web.StreamResponse) -> None:
    """Take the cookie back."""
    response.del_cookie(COOKIE, path="/")


def same_token(given: str, token: str) -> bool:
    """Whether somebody knows the token or the ticket, in the same time wherever they differ."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode())


def _ticket(token: str) -> str:
    """What the cookie holds: proof of the token, from which nobody gets the token back."""
    return hmac.new(token.encode(), b"dawdle signed in", hashlib.sha256).hexdigest()
