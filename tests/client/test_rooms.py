"""The rooms: each has a sign, a place on the page on architecture, and few files."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("client/bertscape", "service/bertscape_service", "workers/bertscape_workers")
MOST_FILES = 12  # with the door


def rooms() -> Iterator[tuple[str, str]]:
    """Package and room, as the page names them."""
    for package in PACKAGES:
        top = REPOSITORY / package
        for folder in sorted({file.parent for file in top.rglob("*.py")} - {top}):
            yield Path(package).name, folder.relative_to(top).as_posix()


def folder_of(package: str, room: str) -> Path:
    return next(REPOSITORY.glob(f"*/{package}")) / room


def sign_of(folder: Path) -> str:
    door = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
    return (ast.get_docstring(door) or "").partition("\n")[0]


def page_of(package: str) -> dict[str, str]:
    """The table of this package's rooms: each one's sign."""
    text = (REPOSITORY / "docs/architecture.md").read_text(encoding="utf-8")
    section = text.partition(f"### `{package}`")[2].partition("\n#")[0]
    return dict(re.findall(r"^\| `(\S+)` \| (.+) \|$", section, re.MULTILINE))


@pytest.mark.parametrize(("package", "room"), [*rooms()])
def test_every_room_has_a_sign_and_the_page_shows_it(package: str, room: str) -> None:
    sign = sign_of(folder_of(package, room))
    assert sign
    assert page_of(package).get(room) == sign


@pytest.mark.parametrize(("package", "room"), [*rooms()])
def test_no_room_is_crowded(package: str, room: str) -> None:
    assert len([*folder_of(package, room).glob("*.py")]) <= MOST_FILES


def test_the_page_names_no_room_that_is_not_there() -> None:
    named = {
        (Path(package).name, room) for package in PACKAGES for room in page_of(Path(package).name)
    }
    assert named == {*rooms()}
