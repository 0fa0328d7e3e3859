"""Releases that are promised to read an exported program, counted by hand."""

import datetime
import re
from pathlib import Path

import jax
import jaxlib
import pytest

from stylejax.deploy import support_window

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
  "version, first, last",
  [
    # Upload dates of the package index: jax 0.10.2 on 2026-06-17, 0.12.0.1 on 2026-10-21.
    ("0.10.2", "2026-05-27", "2026-12-17"),
    ("0.12.0.1", "2026-09-30", "2027-04-21"),
    # Not in the list: dated like the newest listed before, 0.10.0 (2026-04-16) and 0.12.0.1.
    ("0.10.0.5", "2026-03-26", "2026-10-16"),
    ("0.99.0.dev20270101+abc", "2026-09-30", "2027-04-21"),
  ],
)
def test_three_weeks_back_and_six_months_on(version, first, last):
  window = support_window.reading_window(version, version)
  assert (window["released_from"], window["released_until"]) == (first, last)


def test_readme_names_both_ends():
  text = (ROOT / "README.md").read_text()
  written, oldest, last = re.search(
    r"written by jax ([\d.]+), it ran in jax ([\d.]+) .* until ([\d-]+)\)", text
  ).groups()
  assert oldest == support_window.OLDEST_READER[written]
  assert last == support_window.reading_window(written, written)["released_until"]


def test_of_two_dates_the_one_that_promises_less_counts():
  window = support_window.reading_window("0.12.0", "0.11.0")
  assert window == {
    "released_from": "2026-09-28",
    "released_until": "2027-01-16",
    "oldest_tried": None,
  }


def test_months_end_where_the_month_does():
  later = support_window._months_later
  assert later(datetime.date(2026, 8, 31), 6) == datetime.date(2027, 2, 28)
  assert later(datetime.date(2026, 12, 1), 6) == datetime.date(2027, 6, 1)


def test_releases_are_in_order_and_this_one_is_read_by_itself():
  versions = list(support_window.RELEASED)
  assert versions == sorted(versions, key=support_window._numbers)
  assert list(support_window.RELEASED.values()) == sorted(support_window.RELEASED.values())
  window = support_window.reading_window(jax.__version__, jaxlib.__version__)
  released = support_window._released(jax.__version__).isoformat()
  assert window["released_from"] < released < window["released_until"]
