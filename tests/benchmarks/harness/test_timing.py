"""Benchmarks measure what they say, and `compare` tells slower from noise."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from benchmarks import __main__
from benchmarks.harness import command_line, compare, timing
from stylejax.errors import InputError
from stylejax.models.conv_cpu import conv3x3

ROOT = Path(__file__).parents[3]


def start(*arguments):
  """The result of `python -m benchmarks` in a process of its own."""
  return subprocess.run(
    [sys.executable, "-m", "benchmarks", *map(str, arguments)],
    cwd=ROOT,
    capture_output=True,
    text=True,
  )


@pytest.fixture
def run(capfd, monkeypatch):
  """The same in this process, which has imported JAX already."""

  def run(*arguments):
    monkeypatch.setattr(sys, "argv", ["benchmarks", *map(str, arguments)])
    monkeypatch.delitem(sys.modules, f"benchmarks.{arguments[0]}", raising=False)
    monkeypatch.setattr(command_line, "reuse_memory", lambda **_: True)
    capfd.readouterr()
    with pytest.raises(SystemExit) as end:
      __main__.main()
    return subprocess.CompletedProcess(arguments, end.value.code, *capfd.readouterr())

  return run


@pytest.fixture
def result():
  spread = {"median": 1.0, "low": 0.95, "high": 1.05}
  return {
    "limits": {"matrix_product_gflop_per_second": 100.0},
    "rows": [
      {"case": "stylize", "size": 256, "seconds": dict(spread)},
      {"case": "stylize", "size": 512, "seconds": dict(spread)},
      {"case": "scaling", "skipped": "found 1 device"},
    ],
  }


def test_a_row_holds_work_time_and_memory_of_its_case():
  matrix = jnp.ones((64, 32))
  case = timing.jit_case("product", lambda a, b: a @ b, (matrix, matrix.T), 4, {"size": 64})
  actual = timing.measure([case], 3)
  (row,) = actual["rows"]
  assert row["gflop"] == pytest.approx(2 * 64 * 64 * 32 / 1e9)
  assert row["seconds"]["low"] <= row["seconds"]["median"] <= row["seconds"]["high"]
  assert row["images_per_second"] == pytest.approx(4 / row["seconds"]["median"])
  assert row["peak_mib"] == pytest.approx((2 * 64 * 32 + 64 * 64) * 4 / 2**20, rel=0.1)
  rate = row["gflop"] / row["seconds"]["median"]
  limit = actual["limits"]["matrix_product_gflop_per_second"]
  assert row["share_of_matrix_product"] == pytest.approx(rate / limit, rel=0.01)


def test_flops_count_direct_convolutions_whatever_the_cpu_does():
  x, kernel = jnp.ones((1, 64, 64, 128)), jnp.ones((3, 3, 128, 128))
  expected = 2 * 9 * 128 * 128 * (64 * 64)
  for padding in ("zeros", "reflect"):
    actual = timing.direct_flops(lambda x, k, p=padding: conv3x3(x, k, padding=p), (x, kernel))
    assert actual == pytest.approx(expected, rel=0.04), padding
  done = jax.jit(conv3x3).lower(x, kernel).compile().cost_analysis()["flops"]
  assert done < 0.5 * expected


def test_compare_names_what_got_slower_and_only_that(result):
  after = copy.deepcopy(result)
  after["rows"][1]["seconds"] = {"median": 1.5, "low": 1.4, "high": 1.6}
  actual = compare.compare(result, after, tolerance=0.1)
  assert [(row["case"], row["verdict"] == "SLOWER") for row in actual] == [
    ("stylize (size 256)", False),
    ("stylize (size 512)", True),
  ]


def test_compare_takes_overlapping_quartiles_for_noise(result):
  after = copy.deepcopy(result)
  after["rows"][0]["seconds"] = {"median": 1.3, "low": 1.0, "high": 1.6}
  assert not any(row["verdict"] for row in compare.compare(result, after, tolerance=0.1))


def test_compare_names_what_is_gone_and_refuses_another_benchmark(result):
  after = copy.deepcopy(result)
  del after["rows"][0]
  actual = compare.compare(result, after, tolerance=0.1)
  assert [(row["ratio"] is None, row["verdict"]) for row in actual] == [(True, "GONE"), (False, "")]
  actual = compare.compare(after, result, tolerance=0.1)
  assert [(row["case"], row["verdict"]) for row in actual] == [
    ("stylize (size 512)", ""),
    ("stylize (size 256)", "NEW"),
  ]
  with pytest.raises(InputError, match="encode"):
    compare.compare(result, after | {"benchmark": "encode"}, tolerance=0.1)


def test_relative_comparison_forgives_a_slower_machine(result):
  after = copy.deepcopy(result)
  after["limits"]["matrix_product_gflop_per_second"] = 50.0
  for row in after["rows"][:2]:
    row["seconds"] = {key: 2 * value for key, value in row["seconds"].items()}
  assert all(row["verdict"] == "SLOWER" for row in compare.compare(result, after, tolerance=0.1))
  relative = compare.compare(result, after, tolerance=0.1, relative=True)
  assert not any(row["verdict"] == "SLOWER" for row in relative)


def test_compare_command_exits_1_for_slower_and_2_for_nonsense(result, tmp_path, run):
  before, after, broken = (tmp_path / name for name in ("a.json", "b.json", "c.json"))
  before.write_text(json.dumps(result))
  result["rows"][0]["seconds"] = {"median": 9.0, "low": 8.0, "high": 10.0}
  after.write_text(json.dumps(result))
  broken.write_text("{")
  assert run("compare", before, before).returncode == 0
  slower = start("compare", before, after)
  assert slower.returncode == 1 and "SLOWER stylize (size 256)" in slower.stdout
  del result["rows"][0]
  after.write_text(json.dumps(result))
  gone = run("compare", before, after)
  assert gone.returncode == 1 and "GONE   stylize (size 256)" in gone.stdout
  texts = {
    "c.json": "{",
    "list.json": "[1]",
    "image.json": "\0\1",
    "memory.json": '{"rows": [{"case": "stylize", "peak_mib": 5.0}]}',
    "zero.json": '{"rows": [{"case": "s", "seconds": {"low": 0.0, "median": NaN, "high": 1.0}}]}',
  }
  for name, text in texts.items():
    (tmp_path / name).write_text(text)
  for other in (*texts, "missing.json"):
    wrong = run("compare", before, tmp_path / other)
    assert wrong.returncode == 2 and len(wrong.stderr.splitlines()) == 1, wrong.stderr
    assert wrong.stderr.startswith(f"error: {tmp_path / other}: found")
  for flags in (("--tolerance", "-1"), ("--tolerance", "nan")):
    assert run("compare", before, before, *flags).returncode == 2


@pytest.mark.parametrize("name", ["compare", "train", "scaling", "memory"])
def test_help_explains_the_options(name, run):
  done = run(name, "--help")
  assert done.returncode == 0 and f"usage: python -m benchmarks {name}" in done.stdout
  expected = {
    "compare": "not worth a word",
    "train": "Sizes of the nets",
    "scaling": "Whose step",
    "memory": "Sides of the square images",
  }
  assert expected[name] in done.stdout


def test_a_place_that_cannot_be_written_to_is_told_before_measuring(run, tmp_path):
  (tmp_path / "file").write_text("")
  for flag, place in (
    ("--output", tmp_path),
    ("--output", tmp_path / "file" / "x" / "y.json"),
    ("--trace", tmp_path / "file"),
  ):
    done = run("stylize", flag, place)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(f"error: {flag}") and len(done.stderr.splitlines()) == 1


def test_a_benchmark_writes_what_it_prints(tmp_path):
  output = tmp_path / "new" / "stylize.json"
  done = start(
    "stylize",
    "--preset",
    "tiny",
    "--sizes",
    "32",
    "--repeats",
    "2",
    "--output",
    output,
    "--trace",
    tmp_path / "trace",
  )
  assert done.returncode == 0, done.stderr
  result = json.loads(output.read_text())
  assert result["rows"][0]["case"] == "stylize" and result["rows"][0]["size"] == 32
  assert {"benchmark", "command", "machine", "versions", "revision", "limits"} <= result.keys()
  assert "stylize (preset tiny, size 32" in done.stdout
  assert list((tmp_path / "trace").rglob("*.xplane.pb"))


@pytest.mark.parametrize(
  "arguments",
  [
    ("stylize", "--devices", "99"),
    ("stylize", "--sizes", "8"),
    ("encode", "--repeats", "0"),
    ("generate", "--batch", "0"),
    ("train", "--batch", "0"),
    ("input", "--batches", "0"),
    ("input", "--places", "no/such/folder"),
    ("peers", "--sizes", "250"),
    ("peers", "--train-batch", "-1"),
    ("stylize", "--sizes"),
    ("scaling", "--batch", "2", "--counts", "1", "2"),
  ],
  ids=" ".join,
)
def test_what_cannot_be_measured_is_one_line(arguments, run):
  done = run(*arguments)
  assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize("arguments", [("nothing",), ("train", "--batch", "0")], ids=" ".join)
def test_a_process_ends_in_one_line_too(arguments):
  done = start(*arguments)
  assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
