"""HTTPS: with the user's certificate, or with a throw-away one that can be trusted on request."""

import ssl
from pathlib import Path

import pytest
import trustme
from aiohttp import ClientConnectorCertificateError
from aiohttp.test_utils import TestServer
from pytest_aiohttp.plugin import AiohttpClient

from app.errors import Fatal
from app.settings import Settings
from app.tls import AUTHORITY, tls_context
from tests.service import Client, quick_app


def chosen(data: Path, **values: str) -> Settings:
    return Settings.model_validate({"data": str(data)} | values)


async def serving(aiohttp_client: AiohttpClient, settings: Settings) -> Client:
    server = TestServer(quick_app(settings.data))
    await server.start_server(ssl=tls_context(settings))
    return await aiohttp_client(server)


def test_plain_http_needs_no_context(tmp_path: Path) -> None:
    """The default."""
    assert tls_context(chosen(tmp_path)) is None


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
async def test_throw_away_certificate_holds_for_local_names(
    aiohttp_client: AiohttpClient, tmp_path: Path, name: str
) -> None:
    """For a client that trusts the authority in the data folder; for no other."""
    client = await serving(aiohttp_client, chosen(tmp_path / "data", tls_self_signed="true"))
    trusting = ssl.create_default_context(cafile=tmp_path / "data" / AUTHORITY)

    answer = await client.get("/healthz", ssl=trusting, server_hostname=name)

    assert 200 == answer.status
    with pytest.raises(ClientConnectorCertificateError):
        await client.get("/healthz", ssl=ssl.create_default_context())


async def test_certificate_of_the_user_is_shown(
    aiohttp_client: AiohttpClient, tmp_path: Path
) -> None:
    """And trusted by who trusts its authority."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.cert_chain_pems[0].write_to_path(str(cert))
    certificate.private_key_pem.write_to_path(str(key))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    client = await serving(aiohttp_client, chosen(tmp_path, tls_cert=str(cert), tls_key=str(key)))

    assert 200 == (await client.get("/healthz", ssl=trusting)).status


@pytest.mark.parametrize("content", [None, b"", b"no PEM"])
def test_certificate_that_cannot_be_used_is_fatal(tmp_path: Path, content: bytes | None) -> None:
    """One sentence that names both files and what is wanted."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    if content is not None:
        cert.write_bytes(content)
        key.write_bytes(content)

    with pytest.raises(Fatal) as refusal:
        tls_context(chosen(tmp_path, tls_cert=str(cert), tls_key=str(key)))

    assert str(refusal.value).startswith(f"tls_cert {cert} and tls_key {key} can't be used: ")
    assert str(refusal.value).endswith("give a PEM certificate and its PEM key")


def test_key_of_another_certificate_is_fatal(tmp_path: Path) -> None:
    """Found at the start, not by the first client."""
    authority = trustme.CA()
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    authority.issue_cert("localhost").cert_chain_pems[0].write_to_path(str(cert))
    authority.issue_cert("localhost").private_key_pem.write_to_path(str(key))

    with pytest.raises(Fatal):
        tls_context(chosen(tmp_path, tls_cert=str(cert), tls_key=str(key)))


def test_data_folder_that_cannot_be_written_is_fatal(tmp_path: Path) -> None:
    """The authority has to go somewhere."""
    (tmp_path / "data").write_text("a file")

    with pytest.raises(Fatal, match=r"data .* can't be written"):
        tls_context(chosen(tmp_path / "data", tls_self_signed="true"))
