"""Files appear whole, keep their permissions, and never replace what is being read."""

import errno
import os
import stat
import threading

import pytest

from stylejax.errors import InputError
from stylejax.runtime import files


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  before = os.umask(0o022)
  yield
  os.umask(before)


def mode(path):
  return stat.S_IMODE(os.stat(path).st_mode)


def touch(*paths):
  for path in paths:
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    open(path, "wb").close()


class TestReplacing:
  @pytest.mark.parametrize("before", [0o600, 0o640, 0o644, 0o666, 0o755])
  def test_a_file_that_is_replaced_keeps_its_permissions(self, tmp_path, before):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    path.chmod(before)
    with files.replacing(path) as temporary:
      # While it is being written, nobody else may read a file that may be private.
      assert mode(temporary) == 0o600
      temporary.write_bytes(b"new")
    assert (mode(path), path.read_bytes()) == (before, b"new")

  @pytest.mark.parametrize("umask, expected", [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
  def test_a_new_file_has_the_permissions_of_every_new_file(self, tmp_path, umask, expected):
    os.umask(umask)
    with files.replacing(tmp_path / "a.png") as temporary:
      temporary.write_bytes(b"new")
    assert mode(tmp_path / "a.png") == expected

  @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
  def test_a_file_that_is_replaced_keeps_its_owner(self, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    os.chown(path, 12345, 54321)
    with files.replacing(path) as temporary:
      temporary.write_bytes(b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 54321)

  def test_a_group_that_cannot_be_kept_passes_nothing_on_to_another(self, tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    path.chmod(0o664)

    def refuse(*_):
      raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    with files.replacing(path) as temporary:
      temporary.write_bytes(b"new")
    assert mode(path) == 0o644

  def test_a_link_stays_a_link(self, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "b.png").write_bytes(b"old")
    os.symlink("far/b.png", "a.png")
    with files.replacing("a.png") as temporary:
      assert temporary.parent.name == "far"
      temporary.write_bytes(b"new")
    assert os.readlink("a.png") == "far/b.png"
    assert (tmp_path / "far" / "b.png").read_bytes() == b"new"

  def test_an_error_without_a_name_gets_one(self, tmp_path):
    (tmp_path / "a.png").write_bytes(b"old")
    with (
      pytest.raises(OSError, match="No space left") as error,
      files.replacing(tmp_path / "a.png") as temporary,
    ):
      temporary.write_bytes(b"half")
      raise OSError(errno.ENOSPC, "No space left on device")
    assert files.describe(error.value) == f"{tmp_path}/a.png: found No space left on device"
    assert os.listdir() == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"old"

  def test_two_threads_write_two_files(self, tmp_path):
    def write(letter):
      for _ in range(20):
        with files.replacing(tmp_path / "a") as temporary:
          temporary.write_bytes(letter * 1000)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"x", b"y")]
    for thread in threads:
      thread.start()
    for thread in threads:
      thread.join()
    assert (tmp_path / "a").read_bytes() in (b"x" * 1000, b"y" * 1000)
    assert os.listdir() == ["a"]


# (outputs, inputs, input folders, words of the message); `links` makes the links.
APART = {
  "the same name": (["s.gif"], ["s.gif"], [], "found the input s.gif"),
  "another way to write it": (["in/../s.gif"], ["s.gif"], [], "found the input s.gif"),
  "a symbolic link": (["soft.gif"], ["s.gif"], [], "found the input s.gif"),
  "a link to it as the input": (["s.gif"], ["soft.gif"], [], "found the input soft.gif"),
  "a hard link": (["hard.gif"], ["s.gif"], [], "found the input s.gif"),
  "a link in a folder that is a link": (["also_in/f.png"], ["in/f.png"], [], "the input in/f.png"),
  "an input in the output folder": (["in"], ["in/f.png"], [], "found the input in/f.png in it"),
  "an input deep in the output folder": (["in"], ["in/deep/g.png"], [], "in/deep/g.png in it"),
  "an output folder in the input folder": (
    ["in/out"],
    ["in/f.png"],
    ["in"],
    "inside the input folder in",
  ),
  "an output folder deep in it": (
    ["in/deep/out"],
    ["in/f.png"],
    ["in"],
    "inside the input folder in",
  ),
  "the input folder itself": (["in/f_style.png"], ["in/f.png"], ["in"], "inside the input"),
  "the input folder by a link": (["also_in/f_style.png"], ["in/f.png"], ["in"], "inside the"),
  "a folder that a link in the input folder leads to": (
    ["far/new.png"],
    ["in/link/h.png"],
    ["in"],
    "inside the input folder in/link",
  ),
}


@pytest.fixture
def links():
  touch("s.gif", "in/f.png", "in/deep/g.png", "far/h.png")
  os.symlink("s.gif", "soft.gif")
  os.link("s.gif", "hard.gif")
  os.symlink("in", "also_in")
  os.symlink("../far", "in/link")


class TestCheckApart:
  @pytest.mark.parametrize("case", APART)
  def test_refused(self, links, case):
    outputs, inputs, folders, message = APART[case]
    with pytest.raises(InputError, match="--output") as error:
      files.check_apart(outputs, inputs, folders=folders, reads=(".png", ".gif"), what="--output")
    assert message in str(error.value) and str(error.value).count("\n") == 0

  @pytest.mark.parametrize(
    "outputs, inputs, folders",
    [
      (["new.gif"], ["s.gif"], []),
      (["in/f_style.png"], ["in/f.png"], []),  # beside a file that was named
      (["in2"], ["in/f.png"], ["in"]),  # begins with the folder's name and isn't in it
      (["in/film.mp4"], ["in/f.png"], ["in"]),  # never read as a frame
      (["in/.hidden/f.png"], ["in/f.png"], ["in"]),  # never searched
      (["."], ["../f.png"], []),
    ],
  )
  def test_allowed(self, links, outputs, inputs, folders):
    files.check_apart(outputs, inputs, folders=folders, reads=(".png", ".gif"))


class TestCheckWritable:
  def test_a_link_into_a_missing_folder_is_refused(self):
    os.symlink("missing/a.png", "link.png")
    with pytest.raises(
      InputError, match="link.png: found a link into .*missing, which is not a folder"
    ):
      files.check_writable(files.Path("link.png"), "output")

  def test_a_link_to_a_new_file_is_not(self):
    os.symlink("new.png", "link.png")
    files.check_writable(files.Path("link.png"), "output")

  @pytest.mark.parametrize("name", ["o" * 252 + ".png", "ü" * 126 + ".png", "no/" + "o" * 256])
  def test_names_too_long_for_the_disk_also_in_missing_folders(self, name):
    with pytest.raises(InputError, match="too long, expected at most 255"):
      files.check_creatable([files.Path(name)], "output")

  def test_the_longest_name_is_written(self, tmp_path):
    path = tmp_path / ("o" * 251 + ".png")
    files.check_writable(path, "output")
    with files.replacing(path) as temporary:
      temporary.write_bytes(b"new")
    assert path.read_bytes() == b"new"

  def test_a_path_too_long(self):
    with pytest.raises(InputError, match="found a path of .* bytes, too long"):
      files.check_creatable([files.Path("/".join(["o" * 200] * 25))], "output")


def test_real_paths_are_those_of_the_system(links):
  os.symlink("loop", "loop")
  paths = [
    os.path.join(folder, name)
    for name in ("f.png", "link/h.png", "missing/x", "..", "")
    for folder in (
      "in",
      "also_in",
      "./in",
      "in/deep/..",
      os.path.abspath("also_in"),
      "loop",
      "in//",
      "/",
    )
  ]
  assert files.real_paths(paths) == [os.path.realpath(path) for path in paths]


def test_real_paths_asks_for_each_folder_once(monkeypatch, tmp_path):
  asked, islink = [], os.path.islink
  monkeypatch.setattr(os.path, "islink", lambda path: asked.append(path) or islink(path))
  paths = [tmp_path / "/".join(["d"] * depth) / "a.png" for depth in range(1, 50)]
  assert files.real_paths(paths) == list(map(str, paths))
  assert len(asked) == len(set(asked)) == 2 * 49 + len(tmp_path.parts) - 1
