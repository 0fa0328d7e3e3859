"""Downloads onnxruntime-web from npm and packs what the page needs of it into the package.

    python tools/vendor_onnxruntime_web.py

Needs npm and pip. The archive holds two engines: "wasm" for every browser, and "webgpu", which also
needs JavaScript promise integration. They have much in common, so one archive of both is smaller
than two. The npm package lacks onnxruntime's license and those of what is built into it; they are
taken from the Python package of the same version.
"""

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

VERSION = "1.30.0"
ARCHIVE = Path(__file__).parent.parent / "stylejax" / "deploy" / "web" / "onnxruntime-web.tar.xz"
FILES = {
  "wasm.mjs": "ort.wasm.bundle.min.mjs",
  "wasm.wasm": "ort-wasm-simd-threaded.wasm",
  "webgpu.mjs": "ort.jspi.bundle.min.mjs",
  "webgpu.wasm": "ort-wasm-simd-threaded.jspi.wasm",
}
"""{name in the archive: name in the folder dist of the npm package}."""
LICENSES = ("LICENSE", "ThirdPartyNotices.txt")
"""Files of the Python package."""


def main() -> None:
  """Writes the archive, with the same bytes every time."""
  with tempfile.TemporaryDirectory() as folder:
    command = ["npm", "pack", f"onnxruntime-web@{VERSION}", "--pack-destination", folder]
    subprocess.run(command, check=True, capture_output=True)
    (package,) = Path(folder).glob("*.tgz")
    command = [sys.executable, "-m", "pip", "download", f"onnxruntime=={VERSION}", "--no-deps"]
    command += ["--python-version", "3.12", "--only-binary", ":all:", "--dest", folder]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = Path(folder).glob("*.whl")
    with (
      tarfile.open(package) as source,
      zipfile.ZipFile(wheel) as licenses,
      tarfile.open(ARCHIVE, "w:xz", preset=9, format=tarfile.USTAR_FORMAT) as archive,
    ):
      contents = {
        name: source.extractfile(f"package/dist/{original}").read()
        for name, original in FILES.items()
      } | {name: licenses.read(f"onnxruntime/{name}") for name in LICENSES}
      for name, data in contents.items():
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(data), 0o644
        archive.addfile(entry, io.BytesIO(data))
        print(f"{name}: {len(data) / 1e6:.2f} MB")
  print(f"{ARCHIVE}: {ARCHIVE.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
  main()
