"""The comparison of versions of JAX: this environment's Python beside itself."""

import sys
from pathlib import Path

import jax
import pytest

from benchmarks.speed import jax_versions
from stylejax.errors import InputError


def test_programs_of_two_pythons_run_in_turn(tmp_path):
  output = tmp_path / "jax_versions.json"
  options = jax_versions.Options((Path(sys.executable),), sizes=(32,), repeats=2, output=output)
  options.check()
  rows = jax_versions.main(options)["rows"]
  names = [f"stylize, jax {jax.__version__}, {way}" for way in jax_versions.WAYS]
  assert [row["case"] for row in rows] == 2 * names and {row["size"] for row in rows} == {32}
  assert all(row["seconds"]["median"] > 0 for row in rows)
  assert min(row["ratio"] for row in rows[:2]) == 1
  assert output.is_file()


def test_a_python_that_can_not_run_it_is_named(tmp_path):
  with pytest.raises(InputError, match="--others: found no file .*nothing, expected another"):
    jax_versions.Options((tmp_path / "nothing",)).check()
  for answer, message in (
    ("", "found no answer"),
    ("1.0\\nfast\\n", "found 'fast', expected the seconds"),
  ):
    other = tmp_path / "python"
    other.write_text(
      f"#!/bin/sh\nprintf '{answer}'\nexec cat >/dev/null\n" if answer else "#!/bin/sh\n"
    )
    other.chmod(0o755)
    with pytest.raises(InputError, match=f"python: {message}"):
      jax_versions.main(jax_versions.Options((other,), sizes=(32,), repeats=1))
