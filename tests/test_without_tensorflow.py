import subprocess
import sys

# TensorFlow looks as if it were not installed: it is not found by those who ask, nor by those who import it.
_PROGRAM = """
import importlib.util
import pathlib
import sys

class NoTensorFlow:
    def find_spec(name, path=None, target=None):
        if name == "tensorflow":
            raise ModuleNotFoundError("No module named 'tensorflow'", name=name)

find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *package: None if name == "tensorflow" else find_spec(name, *package)
sys.meta_path.insert(0, NoTensorFlow)

from tests.tiny import tiny_config
from jaxvid.evaluate.evaluate import evaluate
from jaxvid.train.loop import train

config = tiny_config(pathlib.Path(sys.argv[1]))
config.train.num_epochs = 1
train(config, pathlib.Path(sys.argv[2]))
evaluate(pathlib.Path(sys.argv[2]))
config.dataset.name = "synthetic_fight/112x112"
try:
    train(config, pathlib.Path(sys.argv[2]) / "other")
except ValueError as error:
    print(error)
"""


def test_a_prepared_data_set_is_trained_on_and_evaluated_without_tensorflow(data_dir, tmp_path):
    command = [sys.executable, "-c", _PROGRAM, str(data_dir), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "report" / "index.html").exists()
    assert "synthetic_fight/112x112/1.0.0 is not prepared" in done.stdout
    assert 'needs TensorFlow: pip install "jaxvid[build]"' in done.stdout
