"""Maps in files: a message names a full disk, since no flag chose it."""

import errno
import os

import numpy as np
import pytest

from stylejax.inference.backends.feature_store import FeatureStore, RunningMoments


def test_a_full_temporary_folder_is_named(tmp_path, monkeypatch):
  held = FeatureStore((8, 8, 2), tmp_path)

  def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as by the system: without a name

  monkeypatch.setattr(os, "pwrite", full)
  with pytest.raises(OSError) as error:
    held[0:4, 0:4] = np.ones((4, 4, 2), np.float16)
  assert error.value.errno == errno.ENOSPC
  assert str(tmp_path) in error.value.filename and "$TMPDIR" in error.value.filename


def test_what_is_written_is_read(tmp_path, rng):
  values = rng.random((8, 8, 2)).astype(np.float16)
  held = FeatureStore(values.shape, tmp_path)
  held[0:8, 0:8] = values
  np.testing.assert_array_equal(held[2:5, 1:8], values[2:5, 1:8])
  assert os.listdir(tmp_path) == []


def test_moments_of_parts_are_those_of_the_whole(rng):
  x = 5 + rng.random((30, 4))
  moments = RunningMoments()
  for part in np.split(x, [3, 17]):
    moments.add(len(part), part.mean(0), np.square(part - part.mean(0)).sum(0))
  mean, std = moments.mean_and_std(eps=0)
  np.testing.assert_allclose(mean[0, 0, 0], x.mean(0), rtol=1e-6)
  np.testing.assert_allclose(std[0, 0, 0], x.std(0), rtol=1e-6)
