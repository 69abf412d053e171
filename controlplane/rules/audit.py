"""A request as the audit record keeps it: what was asked, without secrets and without bulk (pure)."""

import hashlib
import json
from collections.abc import Collection
from typing import Any

_LONG = 512  # characters of one value
_MOST = 16_384  # of the whole
# System tags whose text is a guest's business.
_CONTENT_TAGS = ("userdata", "rootPassword")
HIDDEN = "…"


def shown(request: dict[str, Any], secrets: Collection[str]) -> str:
    """JSON. Of user data and of any long text only size and SHA-256 are kept."""
    kept = {key: HIDDEN if key in secrets else _shown(value) for key, value in request.items()}
    text = json.dumps(kept, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= _MOST else json.dumps(_digest(text))


def names(request: dict[str, Any]) -> str:
    """Of a request that was none: who misspells a parameter may have put a secret into it."""
    return json.dumps(dict.fromkeys(sorted(str(key)[:64] for key in request)[:64], HIDDEN), ensure_ascii=False)


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        head, separator, content = value.partition("::")
        if separator and head in _CONTENT_TAGS:
            return f"{head}::{_digest(content)}"
        return _digest(value) if len(value) > _LONG else value
    if isinstance(value, dict):
        return {key: _shown(inner) for key, inner in value.items()}
    return [_shown(inner) for inner in value] if isinstance(value, list) else value


def _digest(text: str) -> str:
    raw = text.encode("utf-8", "replace")
    return f"<{len(raw)} bytes, sha256 {hashlib.sha256(raw).hexdigest()}>"
