"""Encrypted lines: a certificate that is trusted, and one that is not."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from regrow import HandshakeError, TransportError, attach
from regrow.testing import FakeGateway


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "fake")])
    now = dt.datetime.now(dt.UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path: Path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(
        cert.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cafile=str(path))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def test_a_trusted_certificate_is_needed_and_enough(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with FakeGateway() as gateway:

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))

        async with await asyncio.start_server(relay, "127.0.0.1", 0, ssl=contexts[0]) as server:
            url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with attach(url, token=gateway.token, tls=contexts[1]) as client:
                assert (await client.call("health"))["ok"] is True
            with pytest.raises(HandshakeError, match="no trusted encryption") as caught:
                async with attach(url, token=gateway.token):
                    pass
            assert (caught.value.code, caught.value.retryable) == ("TLS", False)
        with pytest.raises(TransportError, match="the line broke"):
            async with attach(gateway.http_url.replace("http", "wss"), tls=contexts[1]):
                pass


async def test_a_name_nobody_knows_is_told() -> None:
    with pytest.raises(TransportError, match=r"wss://nobody\.invalid:443: "):
        async with attach("wss://nobody.invalid"):
            pass
