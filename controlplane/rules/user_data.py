"""From what a user wrote in `userdata::` and `sshkey::` to the bytes the metadata service serves (pure).

Stored text stays as written. When served: base64 is decoded, the two characters `\\n` become a line feed, YAML that lacks
`#cloud-config` gets it, and user data together with keys become one MIME multipart document (cloud-init applies both).
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP

import yaml

LIMIT = 64 * 1024  # bytes
# First lines by which cloud-init knows a format (https://docs.cloud-init.io → user-data formats) → MIME subtype.
_FORMATS = (
    ("#cloud-config-archive", "cloud-config-archive"),
    ("#cloud-config", "cloud-config"),
    ("#cloud-boothook", "cloud-boothook"),
    ("#include-once", "x-include-once-url"),
    ("#include", "x-include-url"),
    ("#part-handler", "part-handler"),
    ("## template: jinja", "jinja2"),
    ("#!", "x-shellscript"),
)
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*")
_GZIP = b"\x1f\x8b"
# Lists of a later part are appended, its other values do not replace what the user wrote.
_MERGE = "list(append)+dict(no_replace,recurse_list)+str()"


def render(user_data: str | None, ssh_keys: Sequence[str]) -> bytes:
    """What to serve; empty when there is nothing."""
    body = _body(user_data) if user_data else b""
    keys = public_keys(ssh_keys)
    if not keys:
        return body
    config = "#cloud-config\n" + yaml.safe_dump({"disable_root": False, "ssh_authorized_keys": keys}, width=10**6)
    return _multipart(body, config) if body else config.encode()


def public_keys(ssh_keys: Sequence[str]) -> list[str]:
    """One key a line, without repetition."""
    lines = (line.strip() for text in ssh_keys for line in _unescaped(text).splitlines())
    return list(dict.fromkeys(line for line in lines if line and not line.startswith("#")))


def _body(text: str) -> bytes:
    decoded = _decoded(text)
    if decoded is not None and decoded.startswith(_GZIP):
        return decoded
    plain = decoded.decode() if decoded is not None else _unescaped(text)
    if _known(plain) is None and _is_mapping(plain):
        plain = f"#cloud-config\n{plain}"
    return plain.encode()


def _decoded(text: str) -> bytes | None:
    """The bytes, when the text is base64 of text or of gzip; a word that happens to be base64 is not."""
    compact = "".join(text.split())
    if len(compact) < 8 or len(compact) % 4 or not _BASE64.fullmatch(text):
        return None
    try:
        data = base64.b64decode(compact, validate=True)
    except binascii.Error:
        return None
    if data.startswith(_GZIP):
        return data
    try:
        plain = data.decode()
    except UnicodeDecodeError:
        return None
    return data if all(c.isprintable() or c in "\r\n\t" for c in plain) else None


def _unescaped(text: str) -> str:
    return text.replace("\\n", "\n")


def _known(plain: str) -> str | None:
    head = plain.lstrip("\ufeff")
    if re.match(r"(?i)(content-type|mime-version):", head):
        return "multipart"
    return next((subtype for first, subtype in _FORMATS if head.startswith(first)), None)


def _is_mapping(plain: str) -> bool:
    try:
        return isinstance(yaml.safe_load(plain), dict)
    except (yaml.YAMLError, ValueError, RecursionError):
        return False


def _multipart(body: bytes, config: str) -> bytes:
    message = EmailMessage(policy=SMTP.clone(linesep="\n"))
    message.make_mixed()
    message.set_boundary(f"====={hashlib.sha256(body).hexdigest()[:32]}=====")  # the same data, the same bytes
    if body.startswith(_GZIP):
        message.add_attachment(body, maintype="application", subtype="x-gzip", filename="user-data.gz")
    else:
        plain = body.decode()
        subtype = _known(plain) or "plain"
        if subtype == "multipart":
            message.attach(message_from_bytes(body, policy=message.policy))
        else:
            message.add_attachment(plain, subtype=subtype, filename="user-data")
    message.add_attachment(config, subtype="cloud-config", filename="ssh-keys")
    message.get_payload()[-1]["X-Merge-Type"] = _MERGE  # type: ignore[index]
    return bytes(message)
