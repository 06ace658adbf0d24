"""No decision has a second home: `one_home.toml` says where each is made and what the deciding code looks like."""

import re
import tomllib
from pathlib import Path

import pytest

import spectf_cloud

PACKAGE = Path(spectf_cloud.__file__).parent
SOURCES = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
DECISIONS = tomllib.loads(Path(__file__).with_name("one_home.toml").read_text(encoding="utf-8"))["decision"]


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda decision: decision["home"])
def test_it_has_one_home(decision):
    sign = re.compile(decision["sign"], re.MULTILINE)
    assert [file for file, source in SOURCES.items() if sign.search(source)] == [decision["home"]], decision["what"]
