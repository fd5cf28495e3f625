"""The page about the data of a run."""

from pathlib import Path

from jaxvid.config import load_config
from jaxvid.data.show.prepared import show_dataset
from jaxvid.report.data.page import DATA_PAGE, write_data_page


def write_page_of_run(workdir: Path, command: str = "") -> Path:
    """Writes the page about the data that the run in `workdir` trains on into it; returns its path.

    Raises:
      ValueError: if there is no run, or its data is not prepared here.
    """
    config = load_config(workdir)
    data = show_dataset("", config, without_faces=config.eval.blur_faces)
    write_data_page(workdir / DATA_PAGE, data, command)
    return workdir / DATA_PAGE
