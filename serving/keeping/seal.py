"""The audit key under a passphrase: scrypt makes the key, AES-GCM seals and binds it.

What is sealed is bound to the backup's manifest, so a manifest that was changed together with a
file is refused like a wrong passphrase.
"""

from __future__ import annotations

import json
import secrets
from typing import Final

from serving.errors import InvalidRequestError

LEAST_CHARACTERS: Final = 12
_FORMAT: Final = "scrypt-131072-8-1-aes256gcm"  # the costs are ours, never read from a file
_COST: Final = 1 << 17


def checked(passphrase: str) -> str:
    """Return a passphrase that may seal a key.

    Raises
    ------
    InvalidRequestError
        When it is too short.
    """
    if len(passphrase) < LEAST_CHARACTERS:
        raise InvalidRequestError(
            "The passphrase is too short to seal the audit key.",
            found=f"{len(passphrase)} characters",
            expected=f"{LEAST_CHARACTERS} or more",
        )
    return passphrase


def seal(secret: bytes, passphrase: str, bound_to: bytes) -> bytes:
    """Return `secret` sealed; only the passphrase and the same `bound_to` open it."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    sealed = AESGCM(_derived(passphrase, salt)).encrypt(nonce, secret, bound_to)
    parts = {"format": _FORMAT, "salt": salt.hex(), "nonce": nonce.hex(), "sealed": sealed.hex()}
    return (json.dumps(parts, indent=1, sort_keys=True) + "\n").encode()


def unseal(content: bytes, passphrase: str, bound_to: bytes) -> bytes:
    """Return what was sealed.

    Raises
    ------
    InvalidRequestError
        When the passphrase is another one, or the sealed key or what it is bound to was changed.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        parts = json.loads(content)
        if parts["format"] != _FORMAT:
            raise ValueError(parts["format"])
        salt, nonce, sealed = (bytes.fromhex(parts[name]) for name in ("salt", "nonce", "sealed"))
        return AESGCM(_derived(passphrase, salt)).decrypt(nonce, sealed, bound_to)
    except InvalidTag:
        raise InvalidRequestError(
            "The audit key of the backup cannot be unsealed; nothing was restored.",
            found="another passphrase, or a changed manifest or sealed key",
            fix="give the passphrase of this backup, or take another backup",
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidRequestError(
            "The sealed audit key of the backup cannot be read; nothing was restored.",
            found=type(error).__name__,
            fix="take another backup",
        ) from None


def _derived(passphrase: str, salt: bytes) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return Scrypt(salt=salt, length=32, n=_COST, r=8, p=1).derive(passphrase.encode())
