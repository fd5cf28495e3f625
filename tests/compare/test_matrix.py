import cv2
import numpy as np
import pytest

from jaxvid.compare.matrix import matrix_of, matrix_plot, matrix_tables, wrapped
from jaxvid.compare.reading import read_run
from jaxvid.compare.runs import group_runs
from tests.compare.made_up import write_run


def across(tmp_path, *runs):
    """Groups of runs, each given as what it was trained on, what it was tested on, and its correct clips."""
    written = []
    for number, (trained_on, tested_on, correct, *arch) in enumerate(runs):
        changes = {"dataset__name": "+".join(f"{name}/64x64" for name in trained_on.split("+")), "seed": number}
        if arch:
            changes["model__arch"] = arch[0]
        written.append(write_run(tmp_path / str(number), correct, data=f"{tested_on}/64x64, split test", **changes))
    return group_runs([read_run(run) for run in written])


def test_rows_are_training_sets_and_columns_test_sets_with_the_joined_ones_last(tmp_path):
    groups = across(
        tmp_path,
        ("movies+hockey", "crowds", "abcdefgh"),
        ("movies", "hockey", "abc"),
        ("movies", "movies", "abcdefghi"),
        ("hockey", "hockey", "abcdefghijkl"),
        ("hockey", "movies", "ab"),
        ("hockey", "movies", "abcd"),
        # Without a column of its own.
        ("movies+hockey", "movies/64x64+hockey", "a"),
    )
    matrix = matrix_of(groups)
    assert matrix is not None
    accuracy, area = matrix_tables(matrix)
    assert accuracy[0] == ["Accuracy", "on movies", "on hockey", "on crowds"]
    assert area[0][0] == "ROC AUC"
    names, *columns = zip(*accuracy[1:], strict=True)
    assert names == ("trained on movies", "trained on hockey", "trained on movies + hockey")
    assert [cell.split(" [")[0] for cell in columns[0]] == ["75.0 %", "25.0 % ± 11.8", ""]
    assert [cell.split(" [")[0] for cell in columns[1]] == ["25.0 %", "100.0 %", ""]
    assert [cell.split(" [")[0] for cell in columns[2]] == ["", "", "66.7 %"]


def test_several_systems_have_rows_of_their_own(tmp_path):
    groups = across(
        tmp_path,
        ("movies", "movies", "abc", "C4R1D2"),
        ("movies", "movies", "ab", "C6R1D2"),
        ("hockey", "movies", "a", "C4R1D2"),
    )
    matrix = matrix_of(groups)
    assert matrix is not None
    rows = [row[:2] for row in matrix_tables(matrix)[0]]
    assert rows == [
        ["Accuracy", "system"],
        ["trained on movies", "cnn_lstm arch=C4R1D2"],
        ["trained on hockey", "cnn_lstm arch=C4R1D2"],
        ["trained on movies", "cnn_lstm arch=C6R1D2"],
    ]


def test_runs_tested_on_what_they_were_trained_on_have_no_matrix(tmp_path):
    assert matrix_of(across(tmp_path, ("movies", "movies", "abc"), ("hockey", "hockey", "a"))) is None


@pytest.fixture
def plotted(tmp_path):
    groups = across(tmp_path, ("movies", "movies", "abcdefghijkl"), ("movies", "hockey", "abcdef"))
    matrix = matrix_of(groups)
    assert matrix is not None
    return matrix_plot(matrix)


def test_the_plot_is_drawn_for_light_and_dark_and_darker_for_higher_values(plotted):
    light, dark = (
        cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR) for image in (plotted.light, plotted.dark)
    )
    assert light.shape == dark.shape
    assert light[0, 0].min() > 200
    assert dark[0, 0].max() < 60
    # 100 % has the first color of the light theme, #0b6fb8, which is written in OpenCV's order.
    assert (light == (0xB8, 0x6F, 0x0B)).all(-1).mean() > 0.02


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("hockey_fight", ["hockey_fight"]),
        # None of the name is lost, and words stay whole where they fit.
        ("surveillance_fight + violent_flows", ["surveillance_fight +", "violent_flows"]),
        ("LRCN: one view: violent_flows", ["LRCN: one view:", "violent_flows"]),
        ("surveillance_fight_folds", ["surveillance_fight_", "folds"]),
        # Twenty characters fit; a word that does not is broken.
        ("abcdefghijklmnopqrst", ["abcdefghijklmnopqrst"]),
        ("abcdefghijklmnopqrstuv", ["abcdefghijklmnopqrst", "uv"]),
    ],
)
def test_long_names_are_broken_into_lines(name, lines):
    assert wrapped(name, 20).split("\n") == lines
