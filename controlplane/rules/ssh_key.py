"""Public SSH keys as one line each of an authorized_keys file (sshd(8)): is it a key, and which (pure).

Accepted: the known types, options before the type, a comment after it, and base64 that was broken by blanks when it was
copied from a page. What is no key is refused with the reason; a private key is refused without being repeated.
"""

import base64
import binascii
import re

# type → number of strings in its binary form (RFC 4253 §6.6, RFC 5656, RFC 8709, OpenSSH PROTOCOL.u2f)
_TYPES = {
    "ssh-rsa": 3,
    "ssh-ed25519": 2,
    "ecdsa-sha2-nistp256": 3,
    "ecdsa-sha2-nistp384": 3,
    "ecdsa-sha2-nistp521": 3,
    "sk-ssh-ed25519@openssh.com": 3,
    "sk-ecdsa-sha2-nistp256@openssh.com": 4,
    "ssh-dss": 5,
}
_LONGEST = 8192  # characters of one line
_WORD = re.compile(r'(?:"(?:\\.|[^"\\])*"|[^\s"])+')  # an option may contain blanks within quotes


def mended(line: str) -> str:
    """The line with its base64 in one piece. Raises ValueError with the reason when it is no public key."""
    if "PRIVATE KEY" in line:
        raise ValueError("that is a private key; give the public one (the file that ends in .pub)")
    if len(line) > _LONGEST:
        raise ValueError(f"it has {len(line)} characters, no key has more than {_LONGEST}")
    words = _WORD.findall(line)
    at = next((number for number, word in enumerate(words[:2]) if word in _TYPES), None)
    if at is None:
        raise ValueError(
            f"{line.partition(' ')[0][:40]!r} is no key type; a key begins with one of {', '.join(_TYPES)}"
        )
    kind, rest = words[at], words[at + 1 :]
    if not rest:
        raise ValueError(f"after {kind} the key itself is missing")
    for count in range(1, min(len(rest), 32) + 1):
        if _is_key(kind, "".join(rest[:count])):
            return " ".join([*words[: at + 1], "".join(rest[:count]), *rest[count:]])
    raise ValueError(f"after {kind} there is no base64 of such a key ({rest[0][:24]!r}…); it may have been cut off")


def blob(line: str) -> str:
    """What identifies the key: its base64, without type, options and comment. `line` is mended."""
    words = _WORD.findall(line)
    at = next((number for number, word in enumerate(words[:2]) if word in _TYPES), None)
    return words[at + 1] if at is not None and at + 1 < len(words) else ""


def _is_key(kind: str, text: str) -> bool:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    strings: list[bytes] = []
    while data:
        length = int.from_bytes(data[:4], "big")
        if len(data) < 4 + length:
            return False
        strings.append(data[4 : 4 + length])
        data = data[4 + length :]
    return len(strings) == _TYPES[kind] and strings[0] == kind.encode() and all(strings[:2])
