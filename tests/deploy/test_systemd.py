"""The unit of the service."""

import configparser
import re
import shlex
import sys
from pathlib import Path

from tests.deploy.validators import DEPLOY, check_serve, said

FOLDER = DEPLOY / "systemd"
UNIT = (FOLDER / "bertscape.service").read_text(encoding="utf-8")
PROGRAM = "/opt/bertscape/bin/bertscape"


def command() -> list[str]:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's keys have capitals
    unit.read_string(UNIT.replace("\\\n", " "))
    return shlex.split(unit["Service"]["ExecStart"])


def test_systemd_knows_every_key(tmp_path: Path) -> None:
    copy = tmp_path / "bertscape.service"
    there = Path(sys.executable)  # any program: systemd looks whether it is one
    copy.write_text(UNIT.replace(PROGRAM, str(there)), encoding="utf-8")
    assert faults(copy) == ""
    copy.write_text(copy.read_text().replace("PrivateTmp=", "PrivateTemp="), encoding="utf-8")
    assert "PrivateTemp" in faults(copy)


def faults(unit: Path) -> str:
    return said("systemd-analyze", "verify", "--man=no", unit, complaints=True)


def test_it_starts_the_service_with_options_that_it_knows() -> None:
    program, name, *options = command()
    assert (program, name) == (PROGRAM, "serve")
    check_serve(options)


def test_every_variable_has_an_example() -> None:
    given = re.findall(r"^(\w+)=", (FOLDER / "environment.example").read_text(), flags=re.M)
    assert set(re.findall(r"\$\{(\w+)\}", " ".join(command()))) <= set(given)
    assert {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH"} <= set(given)
