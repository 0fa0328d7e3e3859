"""Memory that a process may still take, under control groups v1 and v2 and its own limits."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stylejax.errors import InputError
from stylejax.inference import budget, descent_budget
from stylejax.models.config import PRESETS
from stylejax.runtime import memory

GIB = 2**30
V1 = "31 23 0:28 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
V2 = "31 23 0:28 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n"


def tree(root: Path, files: dict[str, object]) -> Path:
  """A folder with proc and sys as the kernel lays them out (cgroups(7), proc(5))."""
  files = {"proc/meminfo": f"MemTotal: 99 kB\nMemAvailable: {16 * GIB // 1024} kB\n", **files}
  for name, text in files.items():
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")
  return root


def group(version: int, path: str, limit: object, used: int, **stat: int) -> dict[str, object]:
  """The files of one control group."""
  names = (
    ("memory.max", "memory.current")
    if version == 2
    else ("memory.limit_in_bytes", "memory.usage_in_bytes")
  )
  folder = ("sys/fs/cgroup/" if version == 2 else "sys/fs/cgroup/memory/") + path.strip("/")
  return {
    f"{folder}/{names[0]}": limit,
    f"{folder}/{names[1]}": used,
    f"{folder}/memory.stat": "\n".join(f"{key} {value}" for key, value in stat.items()),
  }


CASES = {
  "no limit at all": ({}, 16 * GIB),
  "version 2": (
    {
      "proc/self/cgroup": "0::/job",
      "proc/self/mountinfo": V2,
      **group(2, "job", 2 * GIB, GIB // 2),
    },
    3 * GIB // 2,
  ),
  "version 2, no limit": (
    {"proc/self/cgroup": "0::/job", "proc/self/mountinfo": V2, **group(2, "job", "max", GIB)},
    16 * GIB,
  ),
  "version 2, the group above": (
    {
      "proc/self/cgroup": "0::/pod/job",
      "proc/self/mountinfo": V2,
      **group(2, "pod/job", 4 * GIB, GIB),
      **group(2, "pod", 3 * GIB, 2 * GIB),
    },
    GIB,
  ),
  "version 2, memory.high": (
    {
      "proc/self/cgroup": "0::/job",
      "proc/self/mountinfo": V2,
      **group(2, "job", "max", GIB),
      "sys/fs/cgroup/job/memory.high": 3 * GIB,
    },
    2 * GIB,
  ),
  "version 2, files in memory can go": (
    {
      "proc/self/cgroup": "0::/job",
      "proc/self/mountinfo": V2,
      **group(2, "job", 2 * GIB, 2 * GIB, inactive_file=GIB, active_file=GIB),
    },
    3 * GIB // 2,
  ),
  "version 1": (
    {
      "proc/self/cgroup": "4:memory:/job\n3:cpu:/",
      "proc/self/mountinfo": V1,
      **group(1, "job", 2 * GIB, GIB),
    },
    GIB,
  ),
  "version 1, no limit": (
    {
      "proc/self/cgroup": "4:memory:/job",
      "proc/self/mountinfo": V1,
      **group(1, "job", 9223372036854771712, GIB),
    },
    16 * GIB,
  ),
  "version 1, several controllers, the group above": (
    {
      "proc/self/cgroup": "4:cpu,memory:/pod/job",
      "proc/self/mountinfo": V1.replace("rw,memory", "rw,cpu,memory"),
      **group(1, "pod/job", 9223372036854771712, GIB),
      **group(1, "pod", 3 * GIB, GIB),
    },
    2 * GIB,
  ),
  "version 1, a limit above that only the kernel sees": (
    {
      "proc/self/cgroup": "4:memory:/job",
      "proc/self/mountinfo": V1,
      **group(1, "job", 9223372036854771712, GIB, hierarchical_memory_limit=2 * GIB),
    },
    GIB,
  ),
  # Docker without a cgroup namespace: the group has its outer name, and the mount is that group.
  "a container that sees its group as the top": (
    {
      "proc/self/cgroup": "4:memory:/docker/1f",
      "proc/self/mountinfo": V1.replace(" / /sys", " /docker/1f /sys"),
      **group(1, "", 2 * GIB, GIB),
    },
    GIB,
  ),
  "a container whose name of its group is of another place": (
    {
      "proc/self/cgroup": "0::/../../elsewhere",
      "proc/self/mountinfo": V2,
      **group(2, "", 2 * GIB, GIB),
    },
    GIB,
  ),
  "more is used than allowed": (
    {"proc/self/cgroup": "0::/job", "proc/self/mountinfo": V2, **group(2, "job", GIB, 2 * GIB)},
    0,
  ),
  "a kernel that doesn't overcommit": (
    {
      "proc/sys/vm/overcommit_memory": 2,
      "proc/meminfo": f"MemAvailable: {4 * GIB // 1024} kB\nCommitLimit: {3 * GIB // 1024} kB\n"
      f"Committed_AS: {2 * GIB // 1024} kB",
    },
    GIB,
  ),
}


@pytest.mark.parametrize("files, expected", CASES.values(), ids=CASES)
def test_the_least_of_all_limits_counts(files, expected, tmp_path):
  assert memory.available_bytes(tree(tmp_path, files)) == expected


def in_child(code: str, limit: int) -> subprocess.CompletedProcess:
  """Runs Python code under `ulimit -v`."""
  limited = f"import resource\nresource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))\n{code}"
  return subprocess.run(
    [sys.executable, "-c", limited],
    capture_output=True,
    text=True,
    check=False,
    env={**os.environ, "PYTHONPATH": str(Path(memory.__file__).parents[2])},
  )


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds to the limit of addresses")
def test_the_limit_of_addresses_counts():
  run = in_child(
    "from stylejax.runtime.memory import available_bytes as a; b = a()\n"
    "held = bytearray(2**27); print(b, b - a())",
    GIB // 2,
  )
  left, taken = map(int, run.stdout.split())
  assert GIB // 4 < left < GIB // 2 and 2**27 <= taken < 2**27 + 2**24, run.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds to the limit of addresses")
def test_a_command_without_memory_to_start_says_so_in_one_line(tmp_path):
  run = in_child(
    "import sys, infer\n"
    "sys.exit(infer.main(['--content', 'a.png', '--style', 'b.png', '--output', 'c.png']))",
    GIB // 2,
  )
  assert run.returncode == 2
  assert run.stderr.startswith("error: memory: found 0.") and "to start" in run.stderr
  assert run.stderr.count("\n") == 1


def test_memory_decides_what_is_painted_whole_and_how_large_tiles_are(monkeypatch):
  config = PRESETS["base"]

  def free(size):
    monkeypatch.setattr(budget, "available_bytes", lambda: int(size))

  free(16 * GIB)
  assert budget.fits((3_000, 4_000, 3), config)
  assert not budget.fits((3_000, 4_000, 3), config, images=4)
  assert budget.tile_pixels((3_000, 4_000, 3), config) == budget.TILE_PIXELS
  free(1.3 * GIB)
  assert not budget.fits((3_000, 4_000, 3), config)
  assert budget.fits((512, 512, 3), config)
  large, small = (budget.tile_pixels(shape, config) for shape in ((3_000, 4_000), (6_000, 8_000)))
  assert budget.MIN_TILE_PIXELS < small < large <= budget.TILE_PIXELS
  free(GIB / 4)
  with pytest.raises(InputError, match="memory: found 0.27 GB free .* expected at least"):
    budget.tile_pixels((3_000, 4_000, 3), config)
  with pytest.raises(InputError, match="a.png: found 8000×6000 pixels, .* GB to decode"):
    budget.check_file("a.png", 8_000, 6_000)
  with pytest.raises(InputError, match="--seamless: found 4000×3000 pixels"):
    budget.check_fits("--seamless", (3_000, 4_000, 3), budget.whole_bytes(config), "--size scales")


@pytest.mark.parametrize(
  "bytes_a_pixel", [budget.sequence_bytes(PRESETS["base"]), descent_budget.OPTIMIZED_BYTES]
)
def test_what_can_not_be_cut_into_tiles_is_refused_before_it_starts(bytes_a_pixel, monkeypatch):
  monkeypatch.setattr(budget, "available_bytes", lambda: 2 * GIB)
  budget.check_fits("a.mp4", (480, 600, 3), bytes_a_pixel, "--size scales it")
  with pytest.raises(
    InputError,
    match="a.mp4: found 3840×2160 pixels, which take about .* GB at "
    "once, expected at most the 2.1 GB of memory that are free; --size scales",
  ):
    budget.check_fits("a.mp4", (2160, 3840, 3), bytes_a_pixel, "--size scales it")


def test_large_temporary_files_go_to_a_disk(tmp_path, monkeypatch):
  usual = tmp_path / "tmp"
  (tmp_path / "var/tmp").mkdir(parents=True)
  usual.mkdir()
  monkeypatch.setattr(memory.tempfile, "gettempdir", lambda: str(usual))
  mount = "25 1 0:5 / {} rw - {} x rw\n"
  tree(tmp_path, {"proc/self/mountinfo": mount.format("/", "ext4")})
  assert memory.scratch_folder(tmp_path) == usual
  tree(tmp_path, {"proc/self/mountinfo": mount.format("/", "ext4") + mount.format(usual, "tmpfs")})
  assert memory.scratch_folder(tmp_path) == tmp_path / "var/tmp"
  tree(tmp_path, {"proc/self/mountinfo": mount.format("/", "tmpfs")})
  assert memory.scratch_folder(tmp_path) == usual
