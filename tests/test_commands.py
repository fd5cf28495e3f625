import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def run(*command):
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_an_error_of_the_users_is_one_line_and_an_exit_code(tmp_path):
    done = run("jaxvid.evaluate", f"--workdir={tmp_path}")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.strip() == f"error: {tmp_path} is no workdir of a training run: it has no config.json"


def test_the_main_command_says_what_it_does_not_take(tmp_path):
    config = "--config=configs/quickstart.py"
    done = run("jaxvid.main", config, f"--workdir={tmp_path}", "--config.optimizer.name=adma")
    assert done.returncode == 1
    assert "error: config.optimizer.name is 'adma'; allowed: adam, adamw, sgd" in done.stderr
    assert list(tmp_path.iterdir()) == []
    done = run("jaxvid.main", config + ":size=3", f"--workdir={tmp_path}")
    assert done.returncode != 0
    assert "unknown config argument 'size'" in done.stderr
