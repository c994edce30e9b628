"""URLs, and where a token may travel."""

from __future__ import annotations

import pytest

from regrow.link.address import Address
from regrow.model.errors import HandshakeError


@pytest.mark.parametrize(
    ("url", "text", "full"),
    [
        ("ws://127.0.0.1:18789", "ws://127.0.0.1:18789", "ws://127.0.0.1:18789/"),
        ("http://localhost:1/x?y=z", "ws://localhost:1", "ws://localhost:1/x?y=z"),
        ("https://gw.example", "wss://gw.example:443", "wss://gw.example:443/"),
        (" ws://[::1]:5 ", "ws://[::1]:5", "ws://[::1]:5/"),
        ("ws://gw.example", "ws://gw.example:80", "ws://gw.example:80/"),
    ],
)
def test_urls_are_read(url: str, text: str, full: str) -> None:
    address = Address.parse(url)
    assert (str(address), address.url) == (text, full)


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:5", "ftp://h", "ws://", "ws://h:99999", "ws://h:0", "ws://u:s3cret@h", "ws://[h"]
)
def test_other_urls_are_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(HandshakeError) as caught:
        Address.parse(url)
    assert caught.value.code == "INVALID_URL"
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("ws://127.0.0.1:1", True),
        ("ws://127.8.8.8:1", True),
        ("ws://[::1]:1", True),
        ("ws://localhost:1", True),
        ("wss://gw.example", True),
        ("ws://10.0.0.1:1", False),
        ("ws://localhost.example:1", False),
        ("ws://0.0.0.0:1", False),
    ],
)
def test_private_is_loopback_or_encrypted(url: str, private: bool) -> None:
    assert Address.parse(url).is_private is private
