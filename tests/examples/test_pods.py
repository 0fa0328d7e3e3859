"""Manifests and scripts for pods: their schema, their counts, and the commands that they run.

No cluster is used: the schema beside this file was written by hand from the published references.
"""

import json
import math
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from stylejax.cli.options import INSTALLED
from stylejax.cli.train import _parse

FOLDER = Path(__file__).parents[2] / "examples" / "pods"
MANIFESTS = sorted(FOLDER.glob("*.yaml"))
SCRIPT = FOLDER / "train.slurm"
# Resources by which a container requests devices.
DEVICES = ("google.com/tpu", "nvidia.com/gpu")
SBATCH = {
  "job-name": r"\S+",
  "nodes": r"\d+",
  "ntasks-per-node": r"\d+",
  "gpus-per-node": r"\d+",
  "cpus-per-task": r"\d+",
  "time": r"(\d+-)?\d\d:\d\d:\d\d",
  "requeue": None,
  "open-mode": "append|truncate",
  "signal": r"(B:)?[A-Z]+@\d+",
}


def manifest(path):
  return pytest.importorskip("yaml").safe_load(path.read_text())


def container(job):
  (only,) = job["template"]["spec"]["template"]["spec"]["containers"]
  return only


def config(command, tmp_path):
  """The config of a command line of ours, with its paths in storage moved to tmp_path."""
  assert command[:2] == ["stylejax", "train"]
  local = [re.sub(r"(gs|s3)://\S+|/shared/\S+", str(tmp_path / "no"), word) for word in command[2:]]
  parsed = _parse(local, INSTALLED)
  parsed.check()
  return parsed


def test_there_is_one_for_tpus_and_one_for_gpus():
  assert [path.name for path in MANIFESTS] == ["jobset_gpu.yaml", "jobset_tpu.yaml"]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_hold_to_their_schema(path):
  jsonschema = pytest.importorskip("jsonschema")
  schema = json.loads(Path(__file__).with_name("jobset_schema.json").read_text())
  validator = jsonschema.Draft202012Validator(schema)
  validator.check_schema(schema)
  assert [error.message for error in validator.iter_errors(manifest(path))] == []
  # A misspelled field, which kubectl would refuse, is refused here.
  wrong = manifest(path)
  wrong["spec"]["failurePolicy"]["maxRestart"] = 3
  assert len(list(validator.iter_errors(wrong))) == 1


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_start_trainings_whose_batch_fits_the_devices(path, tmp_path):
  (job,) = manifest(path)["spec"]["replicatedJobs"]
  spec, only = job["template"]["spec"], container(job)
  assert spec["completions"] == spec["parallelism"]
  (each,) = {only["resources"]["limits"].get(name) for name in DEVICES} - {None}
  devices = job["replicas"] * spec["parallelism"] * each
  wanted = config([word.replace("$(PROCESS)", "0") for word in only["command"]], tmp_path)
  assert wanted.batch % (devices * wanted.group) == 0
  assert wanted.resume and wanted.distributed and wanted.deadline
  assert wanted.processes in (None, spec["parallelism"])
  # By default, two threads per host decode for all of its devices.
  assert wanted.workers >= 4 * each
  topology = (
    spec["template"]["spec"].get("nodeSelector", {}).get("cloud.google.com/gke-tpu-topology")
  )
  if topology:
    assert math.prod(map(int, topology.split("x"))) == spec["parallelism"] * each


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_what_would_fail_again_ends_the_whole(path):
  whole = manifest(path)["spec"]
  (job,) = whole["replicatedJobs"]
  spec, only = job["template"]["spec"], container(job)
  (rule,) = spec["podFailurePolicy"]["rules"]
  # Our commands end with status 2 on a user's mistake.
  assert rule["onExitCodes"] == {"containerName": only["name"], "operator": "In", "values": [2]}
  assert whole["failurePolicy"]["rules"][0]["onJobFailureReasons"] == ["PodFailurePolicy"]
  assert spec["backoffLimit"] == 0 < whole["failurePolicy"]["maxRestarts"]


def test_first_process_is_where_the_others_look_for_it():
  whole = manifest(FOLDER / "jobset_gpu.yaml")
  (job,) = whole["spec"]["replicatedJobs"]
  name = whole["metadata"]["name"]
  # As JobSet names pods: <jobset>-<job>-<replica>-<index>.<subdomain>, the jobset's name.
  expected = f"--coordinator={name}-{job['name']}-0-0.{name}:1234"
  assert expected in container(job)["command"]
  assert container(job)["ports"] == [{"containerPort": 1234}]


def test_slurm_script_has_options_that_slurm_knows_and_a_training_that_fits(tmp_path):
  text = SCRIPT.read_text()
  options = dict(re.findall(r"^#SBATCH --([\w-]+)=?(.*)$", text, re.MULTILINE))
  assert options.keys() <= SBATCH.keys()
  for name, value in options.items():
    assert value == "" if SBATCH[name] is None else re.fullmatch(SBATCH[name], value), name
  command = re.search(r"srun \S+ (stylejax .*?) \|\|\n", text.replace("\\\n", ""), re.DOTALL)[1]
  words = shlex.split(command.replace("$steps", "46875").replace("$workdir", "/shared/runs/large"))
  wanted = config(words, tmp_path)
  devices = int(options["nodes"]) * int(options["gpus-per-node"])
  assert wanted.batch % (devices * wanted.group) == 0
  assert wanted.resume and wanted.distributed and int(options["ntasks-per-node"]) == 1
  assert 4 * int(options["gpus-per-node"]) <= wanted.workers < int(options["cpus-per-task"])


@pytest.mark.parametrize(
  "status, reached, queued", [(0, 46875, False), (0, 300, True), (1, 300, True), (2, 300, False)]
)
def test_slurm_script_queues_what_is_not_done_unless_it_would_fail_again(
  status, reached, queued, tmp_path
):
  bash = shutil.which("bash")
  if bash is None:
    pytest.skip("no bash")
  (tmp_path / "metrics.jsonl").write_text(f'{{"step": {reached}, "loss": 0.1}}\n')
  for name, line in (("srun", f"exit {status}"), ("scontrol", f"echo $* > {tmp_path}/queued")):
    (tmp_path / name).write_text(f"#!{bash}\n{line}\n")
    (tmp_path / name).chmod(0o755)
  text = SCRIPT.read_text().replace("/shared/runs/large", str(tmp_path))
  done = subprocess.run(
    [bash, "-c", text], env={"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_JOB_ID": "7"}
  )
  assert done.returncode == status
  assert (tmp_path / "queued").exists() == queued


def test_image_is_built_from_an_extra_that_exists_and_fills_the_cache():
  text = (FOLDER / "Dockerfile").read_text()
  project = (FOLDER.parents[1] / "pyproject.toml").read_text()
  for extra in re.search(r"^ARG EXTRAS=(\S+)$", text, re.MULTILINE)[1].split(","):
    assert re.search(rf"^{extra} = \[", project, re.MULTILINE), extra
  assert text.index("ENV STYLEJAX_CACHE=") < text.index("stylejax warm")
