"""Requests signed by an access key instead of a session.

`Authorization: ZStack <id>:<base64(HMAC-SHA1(secret, METHOD "\\n" Date "\\n" path))>`: the path begins with `/v1` and ends
before the query. The secret never travels.
"""

import base64
import hashlib
import hmac
import time
from dataclasses import dataclass, field
from email.utils import formatdate


@dataclass(frozen=True)
class AccessKey:
    identifier: str
    secret: str = field(repr=False)

    def headers(self, method: str, path: str, now: float | None = None) -> dict[str, str]:
        """`path` is relative to `/v1`."""
        date = formatdate(time.time() if now is None else now, usegmt=True)
        signed = f"{method}\n{date}\n/v1{path.partition('?')[0]}"
        digest = hmac.new(self.secret.encode(), signed.encode(), hashlib.sha1).digest()
        signature = base64.b64encode(digest).decode()
        return {"Date": date, "Authorization": f"ZStack {self.identifier}:{signature}"}
