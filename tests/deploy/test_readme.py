"""The page of deploy/: each folder has a section to follow, and a line on what was checked."""

import re

from tests.deploy.validators import DEPLOY

PAGE = (DEPLOY / "README.md").read_text(encoding="utf-8")
LONGEST = 15  # lines


def test_each_folder_has_a_short_section() -> None:
    sections = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, flags=re.M | re.S))
    folders = [f"{path.name}/" for path in DEPLOY.iterdir() if path.is_dir()]
    assert {folder for folder in folders if folder not in sections} == set()
    lines = {
        folder: len([line for line in sections[folder].splitlines() if line]) for folder in folders
    }
    assert {folder: count for folder, count in lines.items() if count > LONGEST} == {}


def test_each_folder_says_what_was_checked() -> None:
    told = set(re.findall(r"^\| `(\w[\w-]*/)` \|", PAGE, flags=re.M))
    assert told == {f"{path.name}/" for path in DEPLOY.iterdir() if path.is_dir()}
