"""The cache of compiled programs: where it goes, and that it never gets in the way."""

import os
import warnings

import jax
import pytest

from stylejax.runtime import compilation_cache

SETTINGS = (
  "jax_compilation_cache_dir",
  "jax_persistent_cache_min_compile_time_secs",
  "jax_persistent_cache_min_entry_size_bytes",
)


@pytest.fixture(autouse=True)
def restored():
  before = {name: getattr(jax.config, name) for name in SETTINGS}
  jax.config.update("jax_compilation_cache_dir", None)
  with warnings.catch_warnings():
    yield
  for name, value in before.items():
    jax.config.update(name, value)


def test_variable_goes_first(tmp_path, monkeypatch):
  monkeypatch.setenv("STYLEJAX_CACHE", str(tmp_path / "a" / "b"))
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
  assert compilation_cache.enable_cache() == tmp_path / "a" / "b"
  assert jax.config.jax_compilation_cache_dir == str(tmp_path / "a" / "b")
  assert list((tmp_path / "a" / "b").iterdir()) == []


def test_the_users_cache_folder(tmp_path, monkeypatch):
  monkeypatch.delenv("STYLEJAX_CACHE", raising=False)
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
  assert compilation_cache.enable_cache() == tmp_path / "stylejax"


def test_home_when_nothing_is_set(tmp_path, monkeypatch):
  for name in ("STYLEJAX_CACHE", "XDG_CACHE_HOME"):
    monkeypatch.delenv(name, raising=False)
  monkeypatch.setenv("HOME", str(tmp_path))
  assert compilation_cache.enable_cache() == tmp_path / ".cache" / "stylejax"


@pytest.mark.parametrize("value", ["", "/proc/no", "{tmp}/file/below"])
def test_none_or_unwritable_is_silent(tmp_path, monkeypatch, capfd, recwarn, value):
  (tmp_path / "file").write_text("")
  monkeypatch.setenv("STYLEJAX_CACHE", value.format(tmp=tmp_path))
  assert compilation_cache.enable_cache() is None
  assert jax.config.jax_compilation_cache_dir is None
  assert capfd.readouterr() == ("", "")
  assert not recwarn


def test_jaxs_own_setting_is_left_alone(tmp_path, monkeypatch):
  jax.config.update("jax_compilation_cache_dir", str(tmp_path / "own"))
  monkeypatch.setenv("STYLEJAX_CACHE", str(tmp_path / "ours"))
  assert compilation_cache.enable_cache() == tmp_path / "own"
  assert not (tmp_path / "ours").exists()


def test_a_read_only_folder_is_silent(tmp_path, monkeypatch):
  def refuse(**unused):
    raise PermissionError(13, "Permission denied")

  monkeypatch.setattr(compilation_cache.tempfile, "TemporaryFile", refuse)
  monkeypatch.setenv("STYLEJAX_CACHE", str(tmp_path))
  assert compilation_cache.enable_cache() is None
  assert jax.config.jax_compilation_cache_dir is None


def test_the_least_recently_used_are_dropped(tmp_path):
  (tmp_path / "traces").mkdir()
  for age, name in enumerate(["new", "traces/middle", "old", "traces/oldest"]):
    (tmp_path / name).write_bytes(bytes(100))
    os.utime(tmp_path / name, (1e9 - age, 1e9 - age - 1))
  compilation_cache.drop_least_recently_used(tmp_path, most_bytes=400)
  assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 4
  compilation_cache.drop_least_recently_used(tmp_path, most_bytes=399)
  kept = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
  assert kept == ["middle", "new"]  # three quarters of 399 hold two


def test_a_cache_that_is_too_large_is_cut_at_the_start(tmp_path, monkeypatch):
  monkeypatch.setenv("STYLEJAX_CACHE", str(tmp_path))
  monkeypatch.setattr(
    compilation_cache.drop_least_recently_used, "__kwdefaults__", {"most_bytes": 50}
  )
  (tmp_path / "jit_step-cache").write_bytes(bytes(100))
  assert compilation_cache.enable_cache() == tmp_path
  assert not (tmp_path / "jit_step-cache").exists()
