"""What is wrong with user data, said when it is set and not by a guest that boots without its users (pure).

Refused is what cloud-init could not read at all: YAML, MIME, base64 or gzip that is broken. What it would read but not
understand is a warning with line and column, counted in the text as the user meant it (`\\n` is a line feed).
"""

import email
from email.message import Message
from functools import lru_cache

import yaml

from controlplane.rules import cloud_config, user_data
from controlplane.rules.yaml_text import Unreadable, kind, place, root

_DEEPEST = 4  # documents within documents
_GZIP_TYPES = frozenset(f"application/{name}" for name in ("gzip", "x-gzip", "gzip-compressed", "gzipped", "x-gunzip"))
# Formats of cloudbase-init, by which Windows guests are set up
_WINDOWS = ("#ps1", "<powershell>", "<script>", "rem cmd", "#cmd")


@lru_cache(maxsize=256)  # asked when a request is checked, and again when it is done
def warnings(text: str) -> tuple[str, ...]:
    """Raises Unreadable, which says why and where."""
    return tuple(_document(user_data.plain(text), "", 0))


def _document(body: bytes, where: str, depth: int, subtype: str | None = None) -> list[str]:
    """`where` names the part; `subtype` is what its header says it is."""
    if depth > _DEEPEST:
        raise Unreadable(f"{where}documents within documents, more than {_DEEPEST} deep")
    found = subtype or user_data.kind(body)
    if found == "gzip":
        return _document(_unpacked(body, where), f"{where}unpacked, ", depth + 1)
    if found == "multipart":
        return _parts(body, where, depth)
    text = _text(body, where)
    if found is None and user_data.looks_like_mapping(body):
        found = "cloud-config"
    try:
        if found == "cloud-config":
            return [f"{where}{problem}" for problem in _config(text)]
        if found == "cloud-config-archive":
            return _archive(text, where, depth)
    except Unreadable as error:
        raise Unreadable(f"{where}{error}") from None
    if found is None and text.strip() and not text.lower().startswith(_WINDOWS):
        return [
            f"{where}line 1, column 1: this is none of cloud-init's formats; a guest can read it, and nobody acts on it"
        ]
    return []


def _unpacked(body: bytes, where: str) -> bytes:
    try:
        return user_data.unpacked(body)
    except ValueError as error:
        raise Unreadable(f"{where}{error}") from None


def _text(body: bytes, where: str) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise Unreadable(f"{where}line {line}: byte {error.start} is not UTF-8") from None


def _config(text: str) -> list[str]:
    tree = root(text)
    if tree is None or kind(tree) == "null":
        return []
    if not isinstance(tree, yaml.MappingNode):
        raise Unreadable(f"{place(tree.start_mark)}: a cloud-config is a mapping (key: value), this is a {kind(tree)}")
    return cloud_config.problems(tree)


def _archive(text: str, where: str, depth: int) -> list[str]:
    tree = root(text)
    if not isinstance(tree, yaml.SequenceNode):
        raise Unreadable("line 1, column 1: a cloud-config-archive is a list of documents")
    found: list[str] = []
    for number, item in enumerate(tree.value, 1):
        fields = {key.value: value.value for key, value in item.value} if isinstance(item, yaml.MappingNode) else {}
        content = item.value if isinstance(item, yaml.ScalarNode) else fields.get("content")
        if not isinstance(content, str):
            raise Unreadable(f"{place(item.start_mark)}: document {number} of the archive has no content")
        subtype = str(fields.get("type", "")).removeprefix("text/") or None
        found += _document(content.encode(), f"{where}document {number}, ", depth + 1, subtype)
    return found


def _parts(body: bytes, where: str, depth: int) -> list[str]:
    message = email.message_from_bytes(body)
    if message.get_content_maintype() != "multipart":
        return _part(message, where, depth)
    if message.get_boundary() is None:
        raise Unreadable(f"{where}the multipart document has no boundary in its Content-Type")
    if not message.is_multipart():
        raise Unreadable(f"{where}the multipart document has no part: --{message.get_boundary()} is never found")
    found: list[str] = []
    leaves = (part for part in message.walk() if not part.is_multipart())
    for number, part in enumerate(leaves, 1):
        name = part.get_filename()
        found += _part(part, f"{where}part {number}{f' ({name})' if name else ''}, ", depth + 1)
    return found


def _part(part: Message, where: str, depth: int) -> list[str]:
    payload = part.get_payload(decode=True)
    if part.defects or not isinstance(payload, bytes):
        reasons = ", ".join(type(defect).__name__ for defect in part.defects)
        raise Unreadable(f"{where}it cannot be decoded{f': {reasons}' if reasons else ''}")
    content_type = part.get_content_type()
    if content_type in _GZIP_TYPES:
        return _document(payload, where, depth, "gzip")
    if content_type in ("text/plain", "text/x-not-multipart"):  # by their content
        return _document(payload, where, depth)
    if content_type in ("text/cloud-config", "text/cloud-config-archive"):
        return _document(payload, where, depth, content_type.removeprefix("text/"))
    return []
