"""HTTPS: a certificate of the user's, or a throw-away one."""

import ssl

import trustme

from app.errors import Fatal
from app.settings import Settings

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
AUTHORITY = "dawdle-ca.pem"  # in the data folder, for clients that want to trust it


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """
    What to serve HTTPS with; None for plain HTTP.

    Raises:
        Fatal: the certificate and key can't be used.
    """
    if settings.tls_self_signed:
        return _self_signed(settings)
    if settings.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise Fatal(
            f"tls_cert {settings.tls_cert} and tls_key {settings.tls_key} can't be used: {error}; "
            "give a PEM certificate and its PEM key"
        ) from None
    return context


def _self_signed(settings: Settings) -> ssl.SSLContext:
    """A certificate for local names and the host, good for this process only."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*dict.fromkeys((*LOCAL_NAMES, settings.host))).configure_cert(context)
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        authority.cert_pem.write_to_path(str(settings.data / AUTHORITY))
    except OSError as error:
        raise Fatal(f"data {settings.data} can't be written: {error.strerror}") from None
    return context
