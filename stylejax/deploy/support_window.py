"""Which releases of JAX are promised to read an exported program.

`jax.export` promises that what one release writes can be read by releases up to 3 weeks older and
up to 6 months newer, counted between the release dates, not from the day of the export:
https://docs.jax.dev/en/latest/501/export.html#compatibility-guarantees. Since jax 0.11.1 a file
that is known to be older is refused, unless `jax_export_deserialize_expired_versions` is set.
"""

import calendar
import datetime
import re

FORWARD = datetime.timedelta(weeks=3)
"""How much older than the writing release a reading release may be."""

BACKWARD_MONTHS = 6
"""How many months newer than the writing release a reading release may be."""

RELEASED = {
  "0.10.0": "2026-04-16",
  "0.10.1": "2026-05-20",
  "0.10.2": "2026-06-17",
  "0.11.0": "2026-07-16",
  "0.11.1": "2026-08-17",
  "0.11.2": "2026-09-17",
  "0.12.0": "2026-10-19",
  "0.12.0.1": "2026-10-21",
}
"""Release dates of jax, which are also those of jaxlib: upload times (UTC) in the package index."""

OLDEST_READER = {"0.10.2": "0.8.2", "0.12.0.1": "0.11.0"}
"""The oldest release that could run a program of `export`, by the release that wrote it, where that
was tried. jax 0.8.1 says that a program of 0.10.2 is for 0 devices; 0.10.2 can't deserialize one of
0.12.0.1 (StableHLO's vhlo.custom_call_v2)."""


def reading_window(jax_version: str, jaxlib_version: str) -> dict[str, str | None]:
  """Releases of JAX that are promised to read what a release writes.

  Args:
    jax_version: version of the writing jax, such as "0.10.2".
    jaxlib_version: version of the writing jaxlib.

  Returns:
    {"released_from": date, "released_until": date, "oldest_tried": version or None}, dates as
    YYYY-MM-DD, both inclusive. A release that is not in RELEASED gets the date of the newest known
    one before it.
  """
  days = [_released(version) for version in (jax_version, jaxlib_version)]
  return {
    "released_from": (max(days) - FORWARD).isoformat(),
    "released_until": _months_later(min(days), BACKWARD_MONTHS).isoformat(),
    "oldest_tried": OLDEST_READER.get(jax_version) if jax_version == jaxlib_version else None,
  }


def _released(version: str) -> datetime.date:
  """The date of a release; for an unknown one, that of the known release before it."""
  earlier = [known for known in RELEASED if _numbers(known) <= _numbers(version)]
  known = max(earlier, key=_numbers) if earlier else min(RELEASED, key=_numbers)
  return datetime.date.fromisoformat(RELEASED[known])


def _numbers(version: str) -> tuple[int, ...]:
  """(0, 10, 2) for "0.10.2", which sorts as releases do; what follows the digits is left out."""
  digits = re.match(r"[\d.]*\d", version)
  assert digits is not None, version
  return tuple(map(int, digits[0].split(".")))


def _months_later(day: datetime.date, months: int) -> datetime.date:
  years, month = divmod(day.month - 1 + months, 12)
  year, month = day.year + years, month + 1
  return datetime.date(year, month, min(day.day, calendar.monthrange(year, month)[1]))
