"""A prepared TFDS dataset, built where it is not there yet."""

import os
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core.registered import DatasetNotFoundError

from jaxvid.types import ConfigDict


def prepare(dataset: ConfigDict) -> tfds.core.DatasetBuilder:
    """The dataset that the section `dataset` of a config names, built if need be; only building needs TensorFlow.

    Raises:
      ValueError: if there is no such dataset, or it must be built and TensorFlow is not installed.
    """
    # Registers the builders. Not at the top: tfds_builders decodes with this package.
    import tfds_builders  # noqa: F401

    manual_dir = Path(dataset.manual_dir).expanduser().absolute() if dataset.manual_dir else None
    options: dict[str, Any] = {"on_invalid": dataset.on_invalid}
    if dataset.data_dir:
        options["data_dir"] = Path(dataset.data_dir).expanduser()
    # Any folder is a data set of its own, known by its path.
    if dataset.name.split("/")[0] == "video_folder" and manual_dir is not None:
        options["directory"] = manual_dir
    try:
        builder = tfds.builder(dataset.name, **options)
    except (DatasetNotFoundError, ValueError) as error:
        raise ValueError(f"config.dataset.name is {dataset.name!r}: {error}") from error
    if not builder.is_prepared():
        _require_tensorflow(builder)
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
    return builder


def _require_tensorflow(builder: tfds.core.DatasetBuilder) -> None:
    # It greets with pages of log lines otherwise.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import tensorflow  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"{builder.info.full_name} is not prepared in {builder.data_path}, and building it needs TensorFlow: "
            'pip install "jaxvid[build]", or build it on another machine and set config.dataset.data_dir'
        ) from error
