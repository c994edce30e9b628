"""The device key and the signed proof."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
import tempfile
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from regrow.link.frames import Claim
from regrow.model.errors import Fatal

_MAX_FILE = 64 * 1024  # a key file is half a kilobyte; anything huge is something else


class Identity:
    """An Ed25519 device key.

    Args:
        key: The private key. Prefer `Identity.load_or_create` to keep one over restarts: a gateway that pairs
            devices knows them by this key.
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.public_key = _b64url(public)
        self.device_id = hashlib.sha256(public).hexdigest()

    def __repr__(self) -> str:
        return f"Identity({self.device_id[:12]}…)"

    @classmethod
    def generate(cls) -> Identity:
        """Make a new key that lives in memory only."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path | str) -> Identity:
        """Read a key file: PKCS#8 PEM, or JSON with that PEM under `privateKeyPem`.

        Raises:
            Fatal: It is missing, readable by others, or holds no Ed25519 key. The file is left as it is.
        """
        path = Path(path).expanduser()
        return cls(_parse(path, _read_private(path)))

    @classmethod
    def load_or_create(cls, path: Path | str) -> Identity:
        """Read the key file; if there is none, create it (mode 0600) and read it back.

        Two processes that do this at once end up with the same key. An existing file is never overwritten.

        Raises:
            Fatal: As for `load`, or the file could not be created.
        """
        path = Path(path).expanduser()
        if not path.exists() and not path.is_symlink():
            try:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                _create(path, cls.generate())
            except OSError as error:
                raise Fatal(f"device key {path} cannot be created: {error.strerror or error}") from error
        return cls.load(path)

    def sign(self, claim: Claim) -> dict[str, Any]:
        """Return the `device` object of a connect request: who we are, and the proof for this challenge."""
        return {
            "id": self.device_id,
            "publicKey": self.public_key,
            "signature": _b64url(self._key.sign(claim.text(self.device_id).encode())),
            "signedAt": claim.signed_at,
            "nonce": claim.nonce,
        }

    def to_pem(self) -> str:
        """Return the private key as PKCS#8 PEM. It is a secret."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()


def _create(path: Path, identity: Identity) -> None:
    """Write a whole file under another name, then give it its own: a link fails if somebody was faster."""
    text = json.dumps({"version": 1, "deviceId": identity.device_id, "privateKeyPem": identity.to_pem()}, indent=2)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp creates with 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return  # the other one's key is as good as ours
    finally:
        Path(temporary).unlink()


def _read_private(path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
                raise Fatal(
                    f"device key {path} can be read by others (mode {stat.S_IMODE(mode):04o}): run chmod 600 on it, "
                    "or remove it if others may have copied it"
                )
            data = file.read(_MAX_FILE + 1)
    except OSError as error:
        raise Fatal(f"device key {path} cannot be read: {error.strerror or error}") from error
    return data.decode("utf-8", errors="replace")


def _parse(path: Path, text: str) -> Ed25519PrivateKey:
    # `from None`: the cause could quote the key
    try:
        pem = text if text.lstrip().startswith("-----BEGIN") else json.loads(text)["privateKeyPem"]
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise Fatal(
            f"device key {path} holds no Ed25519 private key (PKCS#8 PEM): restore it, or move it away to get a new one"
        ) from None
    return key


def _b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
