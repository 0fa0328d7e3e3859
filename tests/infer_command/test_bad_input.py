"""infer.py on everything that a person can get wrong."""

import os
from pathlib import Path

import bad_cases
import numpy as np
import pytest
from infer_cases import save
from PIL import Image

import stylejax


def truncated(folder):
  path = save(folder / "cut.jpg", size=(200, 200))
  path.write_bytes(path.read_bytes()[:2000])
  return path


def made(path, content):
  path.write_bytes(content)
  return path


def folder_with(folder, *names):
  (folder / "many").mkdir()
  for name in names:
    save(folder / "many" / name)
  return folder / "many"


def linked(path, target):
  path.symlink_to(target)
  return path


def safetensors(path, arrays, metadata=None):
  from safetensors.numpy import save_file

  save_file(arrays, path, metadata=metadata)
  return path


# What is wrong: (function of the temporary folder that returns changed arguments, words of the
# message). A value of None leaves the argument out.
BAD = {
  "missing content": (lambda d: {"content": d / "no.png"}, ["no.png", "found no"]),
  "missing style": (lambda d: {"style": d / "no.png"}, ["no.png", "found no"]),
  "truncated JPEG": (lambda d: {"content": truncated(d)}, ["cut.jpg", "damaged"]),
  "truncated style": (lambda d: {"style": truncated(d)}, ["cut.jpg", "damaged"]),
  "zero bytes": (lambda d: {"content": made(d / "z.png", b"")}, ["z.png", "0 bytes"]),
  "text renamed": (lambda d: {"content": made(d / "t.png", b"hello")}, ["t.png", "not an image"]),
  "1x1 content": (lambda d: {"content": save(d / "1.png", size=(1, 1))}, ["1×1", "16×16"]),
  "1x1 style": (lambda d: {"style": save(d / "1.png", size=(1, 1))}, ["1×1", "16×16"]),
  "15 pixels": (lambda d: {"content": save(d / "1.png", size=(40, 15))}, ["40×15", "16×16"]),
  "empty folder": (lambda d: {"content": folder_with(d)}, ["many", "found no image"]),
  "empty style folder": (lambda d: {"style": folder_with(d)}, ["many", "found no image"]),
  "no content": (lambda d: {"content": []}, ["--content"]),
  "no style": (lambda d: {"style": None}, ["--style", "found nothing"]),
  "link to itself": (lambda d: {"content": linked(d / "l.png", d / "l.png")}, ["l.png"]),
  "device": (lambda d: {"content": "/dev/null"}, ["/dev/null", "special file"]),
  "newline in name": (lambda d: {"content": d / "a\nb.png"}, ["a\\nb.png"]),
  "strength 7": (lambda d: {"strength": 7}, ["--strength", "found 7", "0 to 2"]),
  "strength -1": (lambda d: {"strength": -1}, ["--strength", "found -1", "0 to 2"]),
  "strength NaN": (lambda d: {"strength": "nan"}, ["--strength", "found nan", "0 to 2"]),
  "strength infinite": (lambda d: {"strength": "inf"}, ["--strength", "found inf", "0 to 2"]),
  "size 0": (lambda d: {"size": 0}, ["--size", "found 0", "16 to 16384"]),
  "size huge": (lambda d: {"size": 10**9}, ["--size", "16 to 16384"]),
  "style size": (lambda d: {"style-size": 8}, ["--style-size", "found 8"]),
  "quality": (lambda d: {"quality": 101}, ["--quality", "1 to 100"]),
  "seed": (lambda d: {"seed": -1}, ["--seed", "found -1"]),
  "output extension": (lambda d: {"output": d / "o.xyz"}, ["o.xyz", "'.xyz'", ".png"]),
  "output not writable as": (lambda d: {"output": d / "o.gif"}, ["o.gif", "'.gif'", ".png"]),
  "no output extension": (lambda d: {"output": d / "o"}, ["no extension", ".png"]),
  "output is content": (lambda d: {"output": d / "content.png"}, ["content.png", "the input"]),
  "output is style": (lambda d: {"output": d / "style.png"}, ["style.png", "the input"]),
  "output links to content": (
    lambda d: {"output": linked(d / "l.png", d / "content.png")},
    ["l.png", "the input"],
  ),
  "output loops": (lambda d: {"output": linked(d / "l.png", d / "l.png")}, ["l.png"]),
  "no output folder": (lambda d: {"output": d / "no" / "o.png"}, ["no such folder"]),
  "output folder is a file": (
    lambda d: {"output": d / "content.png" / "o.png"},
    ["content.png", "found a file"],
  ),
  "output can't be made": (lambda d: {"output": "/proc/stylized.png"}, ["/proc"]),
  "output name too long": (lambda d: {"output": d / ("o" * 300 + ".png")}, ["too long"]),
  "file for many": (
    lambda d: {"content": folder_with(d, "a.png", "b.png")},
    ["one file name for 2 images"],
  ),
  "existing file for many": (
    lambda d: {"content": folder_with(d, "a.png", "b.png"), "output": made(d / "o", b"x")},
    ["found a file, expected a folder"],
  ),
  "duplicate outputs": (
    lambda d: {"content": folder_with(d, "a.png", "a.webp", "a_png.png"), "output": d / "o"},
    ["a_png_style.png", "twice"],
  ),
  "output in folder is content": (
    lambda d: {"content": folder_with(d, "a.png", "a_style.png"), "output": d / "many"},
    ["a_style.png", "the input"],
  ),
  "missing weights": (lambda d: {"weights": d / "no.safetensors"}, ["no.safetensors", "'base'"]),
  "weights are a folder": (lambda d: {"weights": d}, ["found a folder"]),
  "weights are text": (
    lambda d: {"weights": made(d / "w.safetensors", b"hello")},
    ["w.safetensors", "found no whole"],
  ),
  "weights are empty": (
    lambda d: {"weights": made(d / "w.safetensors", b"")},
    ["w.safetensors", "found no whole"],
  ),
  "weights are a pickle": (
    lambda d: {"weights": made(d / "w.pth", b"\x80\x04}.")},
    ["w.pth", "found no whole"],
  ),
  "other model's weights": (
    lambda d: {"weights": safetensors(d / "w.safetensors", {"conv": np.zeros(3, np.float32)})},
    ["w.safetensors", "without stylejax's config"],
  ),
}


BAD |= bad_cases.BAD


class TestBadInput:
  @pytest.mark.parametrize("case", BAD)
  def test_one_line_and_nothing_written(self, run, style, weights, tmp_path, case):
    change, expected = BAD[case]
    settings = {
      "content": save(tmp_path / "content.png"),
      "style": style,
      "output": tmp_path / "out.png",
    }
    settings.update(change(tmp_path))
    before = snapshot(tmp_path)
    arguments = []
    for flag, value in settings.items():
      if value is not None:
        values = value if isinstance(value, list) else [value]
        arguments += [f"--{flag}", *values]
    status, out, err = run(*arguments, weights=None if "weights" in settings else weights)
    assert (status, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1 and err.endswith("\n")
    for words in expected:
      assert words in err
    assert snapshot(tmp_path) == before

  def test_there_are_enough_of_them(self):
    assert len(BAD) >= 60

  @pytest.mark.parametrize("case", bad_cases.ODD_BUT_GOOD)
  def test_odd_files_that_are_no_mistake(self, run, style, tmp_path, case):
    name, mode, settings = bad_cases.ODD_BUT_GOOD[case]
    content = save(tmp_path / name, mode, **settings)
    status, out, err = run("--content", content, "--style", style, "--output", tmp_path / "o.png")
    assert status == 0 and out.startswith("wrote ")
    assert all(line.startswith(f"note: {content}: ") for line in err.splitlines())
    assert Image.open(tmp_path / "o.png").size == (37, 29)

  @pytest.mark.parametrize("flag", ["content", "style"])
  def test_several_none_of_which_can_be_read(self, run, style, tmp_path, flag):
    good = save(tmp_path / "good.png")
    bad = [made(tmp_path / "a.png", b"x"), made(tmp_path / "b.png", b"y")]
    before = snapshot(tmp_path)
    contents, styles = (bad, [good]) if flag == "content" else ([good], bad)
    status, out, err = run("--content", *contents, "--style", *styles, "--output", tmp_path / "o")
    assert (status, out) == (2, "")
    *skipped, last = err.splitlines()
    assert [line.split(":")[0] for line in skipped if line.startswith("skipped")] == ["skipped"] * 2
    assert last.startswith(f"error: --{flag}: found no readable image among 2")
    assert "a.png" in last
    assert snapshot(tmp_path) == before

  def test_weights_without_noise_generator(self, run, params, style, tmp_path):
    weights = stylejax.save_weights(
      tmp_path / "w.safetensors", params.replace(noise_generator=None)
    )
    status, _, err = run(
      "--content", style, "--seed", "1", "--output", tmp_path / "o.png", weights=weights
    )
    assert status == 2
    assert "found no noise_generator" in err
    assert not (tmp_path / "o.png").exists()

  def test_a_full_disk_leaves_nothing(self, run, style, tmp_path, monkeypatch):
    content = save(tmp_path / "content.png")

    def full(self, data):
      with open(self, "wb") as file:
        file.write(data[:100])
      raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    before = snapshot(tmp_path)
    status, _, err = run("--content", content, "--style", style, "--output", f"{tmp_path}/new/")
    assert status == 2
    assert "No space left on device" in err and err.count("\n") == 1
    assert snapshot(tmp_path) == before

  @pytest.mark.parametrize(
    "arguments",
    [
      ["--strength", "strong"],
      ["--size", "1.5"],
      ["--bogus", "1"],
      ["--format", "gif"],
      ["--content", "again.png"],
    ],
  )
  def test_arguments_that_cannot_be_parsed_exit_with_2(self, run, style, tmp_path, arguments):
    content = save(tmp_path / "content.png")
    before = snapshot(tmp_path)
    status, _, err = run(
      "--content", content, "--style", style, "--output", tmp_path / "o.png", *arguments
    )
    assert status == 2
    assert arguments[0] in err and "Traceback" not in err
    assert snapshot(tmp_path) == before


def snapshot(folder):
  """Every path below the folder with its bytes, links by their target."""
  return {
    path: os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes()
    for path in sorted(folder.rglob("*"))
  }
