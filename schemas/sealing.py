"""What must travel behind intake but must not be readable there: sealed under a key derived from JOURNEY_ID_KEY."""

from __future__ import annotations

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV


class WrongKey(RuntimeError):
    """Something was sealed under another JOURNEY_ID_KEY."""


class Sealer:
    """Seals bytes deterministically (AES-SIV, RFC 5297): equal bytes are equal sealed, so copies stay recognisable."""

    def __init__(self, id_key: bytes) -> None:
        """Args: id_key: JOURNEY_ID_KEY, from which a key of its own is derived."""
        self._cipher = AESSIV(hmac.digest(id_key, b"buyer-journey seal 1", "sha512"))

    def seal(self, clear: bytes) -> bytes:
        """The bytes, unreadable without the key; 16 bytes longer."""
        return self._cipher.encrypt(clear, None)

    def open(self, sealed: bytes) -> bytes:
        """The bytes again.

        Raises:
            WrongKey: they were not sealed with this key.
        """
        try:
            return self._cipher.decrypt(sealed, None)
        except InvalidTag as error:
            raise WrongKey(
                "it was sealed under another JOURNEY_ID_KEY; set the one its event was taken in with"
            ) from error

    def open_name(self, sealed: bytes) -> str:
        """A canonical form; "" for b"", the name of an identifier that is forgotten.

        Raises:
            WrongKey: as `open`.
        """
        return self.open(sealed).decode() if sealed else ""
