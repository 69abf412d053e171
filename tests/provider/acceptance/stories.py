"""The stories: every module of `declarations/` has its declarations, `ALL`, and what they need besides land.py, `LAND`."""

from importlib import import_module
from pathlib import Path

from tests.provider.acceptance.declaration import Case, Declaration

FOLDER = Path(__file__).with_name("declarations")
MODULES = {
    path.stem: import_module(f"tests.provider.acceptance.declarations.{path.stem}")
    for path in sorted(FOLDER.glob("*.py"))
}
STORIES: dict[str, list[Declaration]] = {name: module.ALL for name, module in MODULES.items()}
LANDS: dict[str, str] = {name: module.LAND for name, module in MODULES.items()}


def cases(story: str) -> list[Case]:
    return [case for declaration in STORIES[story] for case in declaration.cases()]
