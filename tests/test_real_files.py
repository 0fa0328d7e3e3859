"""real_files.csv lists cases of people's files: the expected value, its source, and its test.

A row fails here if its test, or its case of a test, no longer exists.
"""

import csv
import re
from collections import Counter
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROWS = list(csv.DictReader((TESTS / "real_files.csv").open()))


def test_there_are_sixty_cases_and_none_twice():
  assert len(ROWS) >= 60
  assert [case for case, count in Counter(row["case"] for row in ROWS).items() if count > 1] == []
  assert {row["section"] for row in ROWS} == {"2", "3", "4"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["case"])
def test_each_names_a_test_that_exists(row):
  assert all(row.values())
  path, *parts = row["test"].split("::")
  name, _, case = parts[-1].partition("[")
  source = (TESTS.parent / path).read_text()
  assert re.search(rf"^\s*def {name}\(", source, re.MULTILINE), row["test"]
  # The table of cases may be in a module beside the test.
  for module in re.findall(r"^from (tests\.\S+) import", source, re.MULTILINE):
    beside = TESTS.parent / f"{module.replace('.', '/')}.py"
    source += beside.read_text() if beside.is_file() else ""
  # Names of cases are strings in these files; pytest joins those of two parameters with "-".
  case = case.removesuffix("]")
  cuts = [(case[:at], case[at + 1 :]) for at, letter in enumerate(case) if letter == "-"]
  assert (
    not case
    or f'"{case}"' in source
    or any(f'"{first}"' in source and f'"{second}"' in source for first, second in cuts)
  ), row["test"]
