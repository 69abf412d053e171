"""From what a user wrote in `userdata::`, `sshkey::` and `rootPassword::` to the bytes the metadata service serves (pure).

Stored text stays as written. When served: base64 is decoded; in text of a single line the two characters `\\n` become a
line feed (text that has real line feeds was not minified and stays); YAML that lacks `#cloud-config` gets it; user data
together with keys or a password becomes one MIME multipart document, whose parts hold the same bytes as they did alone.
"""

import base64
import binascii
import hashlib
import json
import re
import zlib
from collections.abc import Sequence
from functools import lru_cache

from controlplane.rules import ssh_key

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
GZIP = b"\x1f\x8b"
UNPACKED = 4 * 1024 * 1024  # bytes that gzip may unpack to
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*")
_MIME = re.compile(r"(?i)(content-type|mime-version):")
_KEY_OF_MAPPING = re.compile(r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*:(?:\s|$)""")
_NO_CONTENT = re.compile(r"(?:\s*(?:#[^\n]*)?\n|---[ \t]*\n)*")
# Lists of a later part are appended, its other values do not replace what the user wrote.
_MERGE = "list(append)+dict(no_replace,recurse_list,recurse_dict)+str()"
_REVOKE = r"""#cloud-boothook
#!/bin/sh
# Public keys that were taken away from this machine: no account accepts them any more.
cut -d: -f6 /etc/passwd | sort -u | while read -r home; do
  file=$home/.ssh/authorized_keys
  [ -f "$file" ] && [ ! -L "$file" ] || continue
  for key in %s; do
    grep -qF "$key" "$file" || continue
    kept=$(grep -vF "$key" "$file")
    printf '%%s\n' "$kept" >"$file"
  done
done
"""


def render(
    user_data: str | None,
    ssh_keys: Sequence[str],
    root_password: str | None = None,
    revoked: Sequence[str] = (),
) -> bytes:
    """What to serve; empty when there is nothing. `revoked`: keys (see `ssh_key.blob`) that the guest must forget."""
    return _rendered(user_data, tuple(ssh_keys), root_password, tuple(revoked))


@lru_cache(maxsize=1024)  # a host's snapshot asks for all its VMs each time
def _rendered(
    user_data: str | None, ssh_keys: tuple[str, ...], root_password: str | None, revoked: tuple[str, ...]
) -> bytes:
    body = _with_header(plain(user_data)) if user_data else b""
    keys = public_keys(ssh_keys)
    gone = [key for key in revoked if key not in {ssh_key.blob(line) for line in keys}]
    config = _config(keys, root_password)
    parts = [_part(_flat(body) if config or gone else body, "user-data")] if body else []
    if config:
        parts.append(_part(config, "ssh-keys" if keys else "root-password", f"X-Merge-Type: {_MERGE}\n"))
    if gone:
        parts.append(_part((_REVOKE % " ".join(gone)).encode(), "revoked-keys"))
    if len(parts) > 1:
        return _multipart(parts)
    return body or config or ((_REVOKE % " ".join(gone)).encode() if gone else b"")


def public_keys(ssh_keys: Sequence[str]) -> list[str]:
    """One key a line, each mended as far as it can be, without repetition."""
    return list(dict.fromkeys(map(_mended, key_lines(ssh_keys))))


def key_lines(ssh_keys: Sequence[str]) -> list[str]:
    """The lines of the tags that hold a key, as written."""
    lines = (line.strip() for text in ssh_keys for line in text.replace("\\n", "\n").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def plain(text: str) -> bytes:
    """What the user meant to write: base64 decoded, a minified text with its line feeds."""
    decoded = _decoded(text)
    if decoded is not None:
        return decoded
    return (text if "\n" in text.rstrip("\n") else text.replace("\\n", "\n")).encode()


def kind(body: bytes) -> str | None:
    """`gzip`, `multipart`, the MIME subtype of one of cloud-init's formats, or None."""
    if body.startswith(GZIP):
        return "gzip"
    head = body[:64].decode("utf-8", "replace").lstrip("\ufeff")
    if _MIME.match(head):
        return "multipart"
    return next((subtype for first, subtype in _FORMATS if head.startswith(first)), None)


def looks_like_mapping(body: bytes) -> bool:
    """Whether text without a header begins as a YAML mapping, which then is meant to be cloud-config."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return False
    content = _NO_CONTENT.match(text)
    return bool(_KEY_OF_MAPPING.match(text, content.end() if content else 0))


def unpacked(body: bytes) -> bytes:
    """Of gzip. Raises ValueError with the reason."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        data = unpacker.decompress(body, UNPACKED + 1)
    except zlib.error as error:
        raise ValueError(f"the gzip data is damaged: {error}") from None
    if len(data) > UNPACKED:
        raise ValueError(f"the gzip data unpacks to more than {UNPACKED} bytes")
    if not unpacker.eof:
        raise ValueError("the gzip data is cut off")
    return data


def _flat(body: bytes) -> bytes:
    """Gzip within a multipart document comes out of cloud-init as Latin-1: what is text is unpacked before."""
    if kind(body) != "gzip":
        return body
    try:
        data = unpacked(body)
        data.decode()
    except ValueError:
        return body
    return _with_header(data)


def _with_header(body: bytes) -> bytes:
    return b"#cloud-config\n" + body if kind(body) is None and looks_like_mapping(body) else body


def _mended(line: str) -> str:
    try:
        return ssh_key.mended(line)
    except ValueError:
        return line


def _decoded(text: str) -> bytes | None:
    """The bytes, when the text is base64 of text or of gzip; a word that happens to be base64 is not."""
    compact = "".join(text.split())
    if len(compact) < 8 or len(compact) % 4 or not _BASE64.fullmatch(text):
        return None
    try:
        data = base64.b64decode(compact, validate=True)
    except binascii.Error:
        return None
    if kind(data):
        return data
    try:
        meant = data.decode()
    except UnicodeDecodeError:
        return None
    return data if all(c.isprintable() or c in "\ufeff\r\n\t" for c in meant) else None


def _config(keys: list[str], root_password: str | None) -> bytes:
    """JSON is YAML, whatever characters there are in a key's comment or a password."""
    config: dict[str, object] = {}
    if keys:
        config["ssh_authorized_keys"] = keys
    if root_password:
        config["chpasswd"] = {"expire": False, "list": [f"root:{root_password}"]}
    return f"#cloud-config\n{json.dumps(config | {'disable_root': False}, indent=1)}\n".encode() if config else b""


def _part(body: bytes, name: str, headers: str = "") -> bytes:
    """A MIME entity. In base64, so that no byte changes; a document of the user's own is an entity already."""
    subtype = kind(body)
    if subtype == "multipart":
        return body
    content_type = "application/x-gzip" if subtype == "gzip" else f'text/{subtype or "plain"}; charset="utf-8"'
    head = (
        f"Content-Type: {content_type}\nMIME-Version: 1.0\nContent-Transfer-Encoding: base64\n"
        f'Content-Disposition: attachment; filename="{name}"\n{headers}\n'
    )
    return head.encode() + base64.encodebytes(body)


def _multipart(parts: Sequence[bytes]) -> bytes:
    boundary = f"====={hashlib.sha256(b''.join(parts)).hexdigest()[:32]}====="  # the same data, the same bytes
    head = f'Content-Type: multipart/mixed; boundary="{boundary}"\nMIME-Version: 1.0\n\n'
    pieces = [b"--%b\n%b\n" % (boundary.encode(), part) for part in parts]
    return head.encode() + b"".join(pieces) + f"--{boundary}--\n".encode()
