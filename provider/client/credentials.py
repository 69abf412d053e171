"""Who logs in where: from the provider block, else from the environment, else from a file that only its owner can read.

The file is TOML with the same names: `endpoint = "https://10.0.0.1:8443"`, `access_key_id = "…"`, `access_key_secret = "…"`.
"""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from provider.framework.diagnostics import Refused

# attribute → environment variable that is used when the attribute is left out
ENVIRONMENT = {
    "endpoint": "STEPPE_ENDPOINT",
    "account_name": "STEPPE_USERNAME",
    "password": "STEPPE_PASSWORD",
    "access_key_id": "STEPPE_ACCESS_KEY_ID",
    "access_key_secret": "STEPPE_ACCESS_KEY_SECRET",
    "ca_file": "STEPPE_CA_FILE",
    "credentials_file": "STEPPE_CREDENTIALS_FILE",
}
_LOGIN = ("password", "access_key_id", "access_key_secret")


def settle(config: Mapping[str, str | None], environment: Mapping[str, str]) -> dict[str, str | None]:
    """Every setting; a log-in is taken whole from the first place that has one. Raises Refused."""
    block = {name: config.get(name) for name in ENVIRONMENT}
    around: dict[str, str | None] = {name: environment.get(variable) for name, variable in ENVIRONMENT.items()}
    path = block["credentials_file"] or around["credentials_file"]
    places = [block, around, read(Path(path).expanduser()) if path else {}]
    settings = {name: next((one[name] for one in places if one.get(name)), None) for name in ENVIRONMENT}
    login = next((one for one in places if any(one.get(name) for name in _LOGIN)), {})
    settings |= {name: login.get(name) for name in _LOGIN}
    _must_suffice(settings)
    return settings


def _must_suffice(settings: Mapping[str, str | None]) -> None:
    def missing(name: str) -> Refused:
        where = f"Set it in the provider block, in {ENVIRONMENT[name]} or in the credentials file."
        return Refused(f"{name} is missing", where, (name,))

    if not settings["endpoint"]:
        raise missing("endpoint")
    if settings["access_key_id"] or settings["access_key_secret"]:
        if settings["password"]:
            raise Refused("Two ways to log in", "password and an access key exclude each other.", ("password",))
        for name in ("access_key_id", "access_key_secret"):
            if not settings[name]:
                raise missing(name)
    elif not settings["password"]:
        raise missing("password")


def read(path: Path) -> dict[str, str | None]:
    """The file's settings. Refused: a file that others may read, that is not ours, or with an unknown name."""
    import tomllib  # few have such a file, and every start would pay for its parser

    at = ("credentials_file",)
    try:
        with path.open("rb") as file:
            facts = os.fstat(file.fileno())
            if stat.S_IMODE(facts.st_mode) & 0o077 or facts.st_uid not in (os.getuid(), 0):
                raise Refused(
                    "The credentials file is open to others",
                    f"{path} has mode {stat.S_IMODE(facts.st_mode):04o} and owner {facts.st_uid}; it must be yours and "
                    f"readable by nobody else: chmod 600 {path}",
                    at,
                )
            found = tomllib.load(file)
    except OSError as error:
        raise Refused("The credentials file cannot be read", f"{path}: {error.strerror}", at) from None
    except ValueError as error:
        # The parser's words may quote the text around the mistake, a secret perhaps.
        place = re.search(r"\(at .*\)", str(error))
        problem = f"a mistake {place[0][1:-1]}" if place else "it is no UTF-8 text"
        raise Refused("The credentials file is not TOML", f"{path}: {problem}.", at) from None
    allowed = [name for name in ENVIRONMENT if name != "credentials_file"]
    for name, value in found.items():
        if name not in allowed or not isinstance(value, str):
            problem = "is not a text" if name in allowed else f"is unknown; there are {', '.join(allowed)}"
            raise Refused("Invalid credentials file", f"{path}: {name} {problem}.", at)
    return found
