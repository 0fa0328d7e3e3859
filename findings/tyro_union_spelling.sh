#!/usr/bin/env bash
# tyro 1.0.17: a default for a type `X | None` makes every start import typeguard and what it needs,
# including asyncio and unittest.mock; for the same type written `Optional[X]` it does not.
#
# Expected: `int | None` and `Optional[int]` are two spellings of one type (PEP 604), so command
# lines with either start equally fast.
#
# What happens: tyro compares each default with its type. It has a fast path for unions, which asks
# whether the type's origin is typing.Union; up to Python 3.13 that of `int | None` is
# types.UnionType, so the comparison is left to typeguard. So is a `tuple[str, ...]` with a default.
# What is parsed does not differ.
#
# For users: where startup time matters, write `Optional[X]`, or convert the annotations, as stylejax
# does.
#
# Needs Python 3.11 to 3.13 (PYTHON=...). Output seen; the numbers of modules are not checked:
#   tyro 1.0.17, Optional[int]: without typeguard, 212 modules
#   tyro 1.0.17, int | None: with typeguard, 277 modules
#   tyro 1.0.17, tuple[str, ...]: with typeguard, 277 modules
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tyro==1.0.17 typeguard==4.4.4 \
  docstring-parser==0.17.0
cd "$folder"
cat >start.py <<'END'
import dataclasses
import importlib.metadata
import sys
from typing import Optional

import tyro

kind, default = {
  "Optional[int]": (Optional[int], None),
  "int | None": (int | None, None),
  "tuple[str, ...]": (tuple[str, ...], ()),
}[sys.argv[1]]
Options = dataclasses.make_dataclass("Options", [("value", kind, default)])
assert tyro.cli(Options, args=[]).value == default
there = "typeguard" in sys.modules
version = importlib.metadata.version("tyro")
print(f"tyro {version}, {sys.argv[1]}: with{'' if there else 'out'} typeguard, {len(sys.modules)} modules")
assert there == (sys.argv[1] != "Optional[int]"), "the behavior is no longer what is stated"
assert ("asyncio" in sys.modules) == there, "the behavior is no longer what is stated"
END
for kind in "Optional[int]" "int | None" "tuple[str, ...]"; do
  venv/bin/python start.py "$kind"
done
