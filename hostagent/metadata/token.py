"""Session tokens of the instance metadata service, version 2 (EC2 user guide, "Use the Instance Metadata Service").

A token is its expiry and an authentication code over who it was given to: nothing is stored, and a token outlives a
restart of the service because the key does. Another guest's token, or one for another VM at the same address, is void.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

LONGEST = 21_600  # seconds
_EXPIRY = 8  # bytes


class Tokens:
    """`key`: 32 secret bytes. Times are seconds since the epoch."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def issue(self, network: str, address: str, vm_uuid: str, expires: int) -> str:
        expiry = expires.to_bytes(_EXPIRY, "big")
        return urlsafe_b64encode(expiry + self._code(expiry, network, address, vm_uuid)).decode()

    def valid(self, token: bytes, network: str, address: str, vm_uuid: str, now: float) -> bool:
        try:
            raw = urlsafe_b64decode(token)
        except ValueError:
            return False
        expiry, code = raw[:_EXPIRY], raw[_EXPIRY:]
        genuine = hmac.compare_digest(code, self._code(expiry, network, address, vm_uuid))
        return genuine and now < int.from_bytes(expiry, "big")

    def _code(self, expiry: bytes, network: str, address: str, vm_uuid: str) -> bytes:
        owner = f"{network} {address} {vm_uuid}".encode()
        return hmac.new(self._key, expiry + owner, sha256).digest()
