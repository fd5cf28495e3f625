"""The scripts for Slurm and for GKE: their structure, and that the training command has their flags."""

import re
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.commands import command_module

ROOT = Path(__file__).parent.parent.parent
SLURM, TPU = (ROOT / "jaxvid" / "train" / name for name in ("slurm.sbatch", "tpu.yaml"))


@pytest.fixture(scope="module")
def flags():
    """Names of the flags of the training command."""
    with command_module("jaxvid.main") as module:
        yield set(module.flags.FLAGS)


def test_the_script_for_slurm_is_one_of_bash_with_flags_that_exist(flags):
    subprocess.run(["bash", "-n", SLURM], check=True)
    text = SLURM.read_text()
    command = re.search(r"python -m jaxvid\.main (.*)", text)[1]
    assert set(re.findall(r"--(\w+)", command)) <= flags
    # JAX reads these of a task's number on its node, which gives it its GPU.
    options = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)", text, re.MULTILINE))
    assert options["ntasks-per-node"] == options["gpus-per-node"]
    assert "gpus-per-task" not in options


def test_a_job_that_saved_and_stopped_is_put_back_into_the_queue_and_one_that_failed_is_not(tmp_path):
    for name, body in (("srun", "exit $STATUS"), ("scontrol", 'echo "scontrol $*"')):
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)

    def run(status):
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_JOB_ID": "7", "STATUS": str(status)}
        done = subprocess.run(["bash", SLURM], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == status
        return done.stdout.splitlines()

    # The status of a run that a SIGTERM stopped, as a shell gives it.
    assert run(128 + signal.SIGTERM)[1:] == ["scontrol requeue 7"]
    assert run(0)[1:] == run(1)[1:] == []


def test_the_job_for_gke_has_a_pod_for_each_host_of_its_slice(flags):
    service, job = yaml.safe_load_all(TPU.read_text())
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    # Pods find each other by the names that a headless service gives them.
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    assert pod["subdomain"] == service["metadata"]["name"]
    assert spec["completionMode"] == "Indexed"
    rows, columns = map(int, pod["nodeSelector"]["cloud.google.com/gke-tpu-topology"].split("x"))
    chips = container["resources"]["limits"]["google.com/tpu"]
    assert spec["completions"] == spec["parallelism"] == rows * columns // chips
    assert container["resources"]["requests"] == container["resources"]["limits"]
    # What is written under a mounted volume outlives a pod.
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    values = dict(part[2:].split("=", 1) for part in container["command"] if "=" in part)
    assert all(values[key].startswith(tuple(mounts)) for key in ("workdir", "config.dataset.data_dir"))
    given = {part[2:].partition("=")[0] for part in container["command"] if part.startswith("--")}
    assert {flag for flag in given if not flag.startswith("config.")} <= flags
    assert (ROOT / values["config"].partition(":")[0]).exists()
