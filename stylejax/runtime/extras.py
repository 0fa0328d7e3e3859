"""Optional packages: what to install if one of them is missing.

They are declared once, in pyproject.toml. stylejax is not on a package index, so messages name the
packages and never `stylejax[extra]`.
"""

import functools
import importlib.metadata
import importlib.util
import re

from stylejax.errors import InputError

_REQUIREMENT = re.compile(r"""(?P<package>[^;]+?)\s*;.*\bextra\s*==\s*['"](?P<extra>[\w-]+)['"]""")


@functools.cache
def install_command(extra: str) -> str:
  """The command that installs the packages of an extra, such as "pip install 'onnx>=1.17' …".

  Args:
    extra: its name in pyproject.toml.

  Returns:
    The command with the packages and versions that the installed stylejax declares; for a checkout
    that is not installed, the command to run in it.
  """
  try:
    declared = importlib.metadata.requires("stylejax") or []
  except importlib.metadata.PackageNotFoundError:
    declared = []
  matches = filter(None, map(_REQUIREMENT.fullmatch, declared))
  packages = [match["package"].replace(" ", "") for match in matches if match["extra"] == extra]
  return "pip install " + " ".join(f"'{package}'" for package in packages or [f".[{extra}]"])


def check_installed(package: str, name: str, purpose: str) -> None:
  """Raises InputError, with the command to install it, unless a package is installed.

  Args:
    package: its import name, which is also the name of its extra.
    name: what needs it, for the message.
    purpose: what it is for, for the message.
  """
  if importlib.util.find_spec(package) is None:
    raise InputError(
      f"{name}: found no {package}, expected it for {purpose}: {install_command(package)}"
    )
