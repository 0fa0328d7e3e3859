"""The page that stylizes in a browser: its files, for a server, or all of them in one file.

The files are those in the folder web, models made from the weights (onnx_stages.py),
onnxruntime-web from its archive (tools/vendor_onnxruntime_web.py) and the sample images. The folder
has the page's code; `stylejax.cli.web` serves it.
"""

import base64
import dataclasses
import hashlib
import json
import os
import re
import tarfile
import zlib
from pathlib import Path

from stylejax import transfer
from stylejax.deploy import onnx_stages
from stylejax.deploy.export import parts_of
from stylejax.errors import InputError
from stylejax.runtime.extras import install_command
from stylejax.runtime.files import check_writable, replacing

_FOLDER = Path(__file__).parent / "web"
_SAMPLES = Path(__file__).parent.parent / "assets" / "samples"
_ARCHIVE = _FOLDER / "onnxruntime-web.tar.xz"
_NOTICE = Path(__file__).parent.parent / "assets" / "NOTICE"
_LICENSES = ("LICENSE", "ThirdPartyNotices.txt")  # files in the archive
_ENGINE, _WEB_GPU = "onnxruntime/wasm.mjs", "onnxruntime/webgpu."
"""The engine that works everywhere, and the prefix of the other one's file names; the page in one
file leaves that one out, since it would make it half as large again."""

_MISSING = "page: found no {}, expected it for the page's models: {}"

POLICY = {
  "default-src": "'none'",
  "script-src": "'self' 'wasm-unsafe-eval'",
  "worker-src": "'self'",
  "style-src": "'self'",
  "img-src": "'self' blob: data:",
  "connect-src": "'self'",
  "media-src": "blob:",
  "base-uri": "'none'",
  "form-action": "'none'",
}
"""The content-security policy of the served page: it may not request anything from elsewhere."""


def page_files(params: transfer.Params) -> dict[str, bytes]:
  """The files of the page by name, as a server gives them.

  Args:
    params: needs content_encoder, style_encoder and generator.

  Returns:
    {"index.html": …, "models/plan.json": …, "onnxruntime/wasm.wasm": …, …}.

  Raises:
    InputError: params lack one of those parts, or the package onnx is missing.
    ValueError: the nets have more than one convolution at the finest level.
  """
  files = {path.name: path.read_bytes() for path in sorted(_FOLDER.iterdir()) if path != _ARCHIVE}
  files |= {f"models/{name}": data for name, data in _models(params).items()}
  files |= {f"samples/{path.name}": path.read_bytes() for path in sorted(_SAMPLES.glob("*/*.jpg"))}
  with tarfile.open(_ARCHIVE) as archive:
    for entry in archive:
      content = archive.extractfile(entry)
      assert content is not None, entry.name
      files[f"onnxruntime/{entry.name}"] = content.read()
  engine = [files.pop(f"onnxruntime/{name}").decode() for name in _LICENSES]
  files["licenses/licenses.txt"] = _licenses(*engine).encode()
  files["index.html"] = _with_policy(files["index.html"].decode(), POLICY).encode()
  return files


def export_page(params: transfer.Params, output: str | os.PathLike) -> int:
  """Writes the page as one file, which a browser opens from disk.

  Its models' outputs are compared with the package's first.

  Args:
    params: as in `page_files`.
    output: the file, ending in .html; an existing one is replaced.

  Returns:
    The size of the file in bytes.

  Raises:
    InputError: the extension is wrong, the file can't be written, the models' outputs differ from
      the package's, or as in `page_files`.
  """
  output = Path(output)
  if output.suffix != ".html":
    raise InputError(f"output {output}: found extension {output.suffix!r}, expected .html")
  check_writable(output, "output")
  files = page_files(params)
  try:
    from stylejax.deploy import page_trials
  except ImportError as error:
    raise InputError(_MISSING.format(error.name, install_command("onnx"))) from error
  page_trials.check(files, params)
  text = one_file(files).encode()
  with replacing(output) as temporary:
    temporary.write_bytes(text)
  return len(text)


def one_file(files: dict[str, bytes]) -> str:
  """The page's files as one HTML document: code and style inline, the rest as compressed parts."""
  page = (_FOLDER / "index.html").read_text()
  style, script = files["style.css"].decode(), bundle(files, "app.mjs")
  parts = {
    name: data
    for name, data in files.items()
    if "/" in name and name != _ENGINE and not name.startswith(_WEB_GPU)
  } | {"worker.js": (_as_script(files[_ENGINE].decode()) + bundle(files, "worker.mjs")).encode()}
  inside = "".join(
    f'<script type="text/plain" id="part:{name}">{_compressed(data)}</script>\n'
    for name, data in parts.items()
  )
  page = page.replace(
    '<link rel="stylesheet" href="style.css">', f"<style>{style}</style>"
  ).replace(
    '<script type="module" src="app.mjs"></script>',
    f'{inside}<script type="module">{script}</script>',
  )
  policy = POLICY | {
    "script-src": f"{_hash(script)} blob: 'wasm-unsafe-eval'",
    "worker-src": "blob:",
    "style-src": _hash(style),
    "img-src": "blob: data:",
    "connect-src": "blob:",
  }
  return _with_policy(page, policy)


def bundle(files: dict[str, bytes], entry: str) -> str:
  """Joins a module and its imports into one script; each is a function that returns its exports.

  The modules import names in braces from files in the same folder, at the beginning of a line, and
  export functions and constants.
  """
  done: dict[str, str] = {}

  def add(name: str) -> None:
    text = files[name].decode()
    for other in re.findall(_IMPORT, text):
      if other[1] not in done:
        add(other[1])
    text = re.sub(_IMPORT, lambda found: f"const {{{found[1]}}} = {_variable(found[2])};", text)
    exported = re.findall(_EXPORT, text)
    text = re.sub(_EXPORT, r"\1 \2", text)
    given = ", ".join(constant for _, constant in exported)
    done[name] = f"const {_variable(name)} = (() => {{\n{text}\nreturn {{{given}}};\n}})();\n"

  add(entry)
  return "".join(done.values())


def _as_script(module: str) -> str:
  """The engine's module as the global `onnxruntime`: workers of a page from disk can't import."""
  body, _, exported = module.rpartition("export{")
  names = (pair.split(" as ") for pair in exported[: exported.index("}")].split(","))
  given = ", ".join(f"{new}: {old}" for old, new in names)
  body = body.replace("import.meta.url", "self.location.href")
  return f"globalThis.onnxruntime = (() => {{\n'use strict';\n{body}\nreturn {{{given}}};\n}})();\n"


_IMPORT = re.compile(r"^import \{([^}]*)\} from '\./([\w.]+)';$", re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?function|const) (\w+)", re.MULTILINE)


def _variable(module: str) -> str:
  return "module_" + module.removesuffix(".mjs")


def _compressed(data: bytes) -> str:
  """Gzip in base 64, a text that engine.mjs decodes."""
  packed = zlib.compressobj(9, zlib.DEFLATED, 31)
  return base64.b64encode(packed.compress(data) + packed.flush()).decode()


def _hash(text: str) -> str:
  return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _with_policy(page: str, policy: dict[str, str]) -> str:
  content = "; ".join(f"{name} {value}" for name, value in policy.items())
  mark = '<meta charset="utf-8">\n'
  return page.replace(
    mark, f'{mark}<meta http-equiv="Content-Security-Policy" content="{content}">\n'
  )


def _licenses(engine: str, built_into_it: str) -> str:
  """The notices of others' work that a copy of the page must contain."""
  sections = re.findall(r"^== (.*) ==\n((?:(?!== ).*\n)*)", _NOTICE.read_text(), re.MULTILINE)
  (samples,) = (text for title, text in sections if title.startswith("Sample images"))
  return f"""\
This page is part of stylejax. It is under the Apache License, Version 2.0, whose text is at
https://www.apache.org/licenses/LICENSE-2.0 and below, among the notices of ONNX Runtime.

== Sample images ==
{samples}
== ONNX Runtime ==
{engine}
== What ONNX Runtime incorporates ==
{built_into_it}"""


def _models(params: transfer.Params) -> dict[str, bytes]:
  """The models of the two halves of `stylize`, and the plan that says how to run them."""
  try:
    from stylejax.deploy import onnx as models
  except ImportError as error:
    raise InputError(_MISSING.format(error.name, install_command("onnx"))) from error
  made = {"style": models.model("encode_style", parts_of("encode_style", params), params.config)}
  made |= onnx_stages.stage_models(parts_of("paint", params), params.config)
  plan = json.dumps(dataclasses.asdict(onnx_stages.plan(params.config)))
  serialized = {
    f"{name}.onnx": model.SerializeToString(deterministic=True) for name, model in made.items()
  }
  return {"plan.json": plan.encode()} | serialized
