"""The builders in programs that do not use jaxvid, run from another directory."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


# `tfds build DIRECTORY ARGUMENTS`: the same code, but without the command's start, which in TFDS 4.9.10 imports
# apache_beam and mlcroissant for its other subcommands, without requiring them.
TFDS_BUILD = f"""
import sys
import simple_parsing
from tensorflow_datasets.scripts.cli import build
arguments = ["{REPOSITORY / "tfds_builders" / "synthetic_fight"}", "--config=tiny", "--data_dir=data", *sys.argv[1:]]
simple_parsing.parse(build.Args, args=arguments).execute()
"""


def run_python(code: str, directory: Path, *arguments: str) -> list[str]:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "CUDA_VISIBLE_DEVICES": ""}
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_importing_the_builders_imports_nothing_else_of_this_repository(tmp_path):
    output = run_python(
        """
        import sys
        import tfds_builders
        heavy = ("jax", "flax", "tensorflow", "decord", "av")
        print([name for name in sys.modules if name in heavy or name.split(".")[0] in ("jaxvid", "configs")])
        """,
        tmp_path,
    )
    assert output == ["[]"]


def test_sequences_with_sound_are_built_with_the_video_package_alone(tmp_path):
    output = run_python(
        """
        import sys
        import tensorflow_datasets as tfds
        import tfds_builders
        builder = tfds.builder("synthetic_genre/tiny_4fps_4frames_8000hz", data_dir="data")
        builder.download_and_prepare()
        names = [name for name in sys.modules if name.split(".")[0] in ("jax", "flax", "jaxvid", "configs")]
        print(all(name == "jaxvid" or name.startswith("jaxvid.video") for name in names), len(names) > 1)
        """,
        tmp_path,
    )
    assert output[-1] == "True True"


def test_array_record_is_built_by_path_and_read_without_tensorflow_or_jax(tmp_path):
    run_python(TFDS_BUILD, tmp_path)
    output = run_python(
        """
        import sys
        import tensorflow_datasets as tfds
        import tfds_builders
        source = tfds.data_source("synthetic_fight/tiny", data_dir="data", split="train")
        example = source[3]
        print(len(source), example["video"][0].shape, example["label"] in (0, 1))
        print([name for name in ("tensorflow", "jax", "decord") if name in sys.modules])
        """,
        tmp_path,
    )
    assert output == ["16 (64, 64, 3) True", "[]"]


@pytest.mark.slow
def test_tfrecord_is_built_by_path_and_read_with_tf_data(tmp_path):
    read = """
        import tensorflow_datasets as tfds
        import tfds_builders
        dataset = tfds.load("synthetic_fight/tiny", data_dir="data", split="test")
        again = tfds.load("synthetic_fight/tiny", data_dir="data", builder_kwargs={"file_format": "tfrecord"})["test"]
        print(type(dataset).__module__.split(".")[0], len(dataset), [e["video"].shape[1:] for e in dataset][0])
        names, names_again = ([str(e["filename"]) for e in part.as_numpy_iterator()] for part in (dataset, again))
        print(names == names_again)
        print(sorted({".".join(name.split(".")[:2]) for name in sys.modules if name.startswith("jaxvid")}))
    """
    # In one process: importing TensorFlow is most of what this test takes.
    output = run_python(TFDS_BUILD + textwrap.dedent(read), tmp_path, "--file_format=tfrecord")
    assert output[-3:] == [
        "tensorflow 8 (64, 64, 3)",
        "True",
        "['jaxvid', 'jaxvid.video']",
    ]
