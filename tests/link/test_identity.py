"""The device key file and the proof."""

from __future__ import annotations

import base64
import hashlib
import json
import multiprocessing
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec.structs import replace

from regrow.link.frames import Claim
from regrow.link.identity import Identity
from regrow.model.errors import Fatal

CLAIM = Claim(
    client_id="gateway-client",
    client_mode="backend",
    role="operator",
    scopes=("operator.read", "operator.write"),
    signed_at=1795239325002,
    token="tok",
    nonce="n-1",
    platform=" Linux ",
)


def test_a_key_is_created_once_private_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "device.json"
    first = Identity.load_or_create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    before = path.read_bytes()
    assert Identity.load_or_create(path).device_id == first.device_id
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["device.json"]
    assert json.loads(before)["privateKeyPem"].startswith("-----BEGIN PRIVATE KEY-----")


def test_a_plain_pem_serves_too(tmp_path: Path) -> None:
    path = tmp_path / "device.pem"
    made = Identity.generate()
    path.write_text(made.to_pem())
    path.chmod(0o600)
    assert Identity.load(path).device_id == made.device_id


def test_the_device_id_is_the_hash_of_the_public_key() -> None:
    made = Identity.generate()
    raw = base64.urlsafe_b64decode(made.public_key + "=")
    assert made.device_id == hashlib.sha256(raw).hexdigest()
    assert made.to_pem() not in repr(made)


def test_the_proof_is_the_v3_string_signed() -> None:
    made = Identity.generate()
    device = made.sign(CLAIM)
    text = (
        f"v3|{made.device_id}|gateway-client|backend|operator|operator.read,operator.write|1795239325002|tok|n-1|linux|"
    )
    assert CLAIM.text(made.device_id) == text
    key = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(made.public_key + "="))
    key.verify(base64.urlsafe_b64decode(device["signature"] + "=="), text.encode())
    assert (device["id"], device["signedAt"], device["nonce"]) == (made.device_id, 1795239325002, "n-1")
    assert replace(CLAIM, signed_at=5.0).text("d").split("|")[6] == "5"
    assert replace(CLAIM, signed_at=5.5).text("d").split("|")[6] == "5.5"


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_a_key_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "device.json"
    Identity.load_or_create(path)
    path.chmod(0o640)
    with pytest.raises(Fatal, match=r"can be read by others \(mode 0640\)"):
        Identity.load_or_create(path)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"privateKeyPem":7}', '{"privateKeyPem":"x"}', "-----BEGIN nothing", "\x00\xff"]
)
def test_a_damaged_key_is_refused_and_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "device.json"
    path.write_text(content, encoding="latin-1")
    path.chmod(0o600)
    before = path.read_bytes()
    with pytest.raises(Fatal, match="no Ed25519 private key") as caught:
        Identity.load_or_create(path)
    assert path.read_bytes() == before
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_another_kind_of_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "device.pem"
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(pem)
    path.chmod(0o600)
    with pytest.raises(Fatal, match="no Ed25519 private key"):
        Identity.load(path)


def test_missing_and_impossible_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="cannot be read"):
        Identity.load(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(Fatal, match="cannot be created"):
        Identity.load_or_create(tmp_path / "file" / "device.json")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(Fatal, match="cannot be read"):
        Identity.load_or_create(tmp_path / "dangling")


def _create(path: str, gate: object, out: object) -> None:
    gate.wait()  # type: ignore[attr-defined]
    out.put(Identity.load_or_create(path).device_id)  # type: ignore[attr-defined]


def test_processes_that_create_at_once_agree(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    for round_ in range(2):
        gate, out = context.Barrier(4), context.Queue()
        path = str(tmp_path / f"device{round_}.json")
        workers = [context.Process(target=_create, args=(path, gate, out)) for _ in range(4)]
        for worker in workers:
            worker.start()
        ids = {out.get(timeout=15) for _ in workers}
        for worker in workers:
            worker.join()
            worker.close()
        out.close()
        out.join_thread()
        assert ids == {Identity.load(path).device_id}


def test_losing_the_race_keeps_the_winners_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "device.json"
    winner = Identity.generate()
    real = os.link

    def late(source: str, target: Path) -> None:
        path.write_text(winner.to_pem())
        path.chmod(0o600)
        real(source, target)

    monkeypatch.setattr(os, "link", late)
    assert Identity.load_or_create(path).device_id == winner.device_id
    assert [p.name for p in tmp_path.iterdir()] == ["device.json"]
