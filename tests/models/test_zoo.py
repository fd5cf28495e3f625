from pathlib import Path

import pytest

from jaxvid.models import zoo
from jaxvid.models.create import MODELS
from tests.commands import run_command


def head(features):
    """Returns the parameters of paper 1.1's head over a backbone: an LSTM of 256, dense layers of 512, 16 and 2."""
    return 4 * 256 * (features + 256 + 1) + (256 * 512 + 512) + (512 * 16 + 16) + (16 * 2 + 2)


# Trainable parameters. Those of the backbones are those of keras.applications, with `head`; C10R1D3 is the paper's
# count, the Video ResNets are torchvision's and (34) its authors', ConvLSTM and LRCN Keras'. The other cnn_lstm are
# counted layer by layer in test_cnn_lstm.py.
PARAMETERS = {
    "cnn_lstm C4R1D2": 442_658,
    "cnn_lstm C4R1D3": 449_874,
    "cnn_lstm C6R1D2": 531_106,
    "cnn_lstm C6R1D3": 538_322,
    "cnn_lstm C8R1D2": 818_594,
    "cnn_lstm C8R1D3": 825_810,
    "cnn_lstm C10R1D2": 4_164_002,
    "cnn_lstm C10R1D3": 4_171_218,
    "backbone_lstm vgg16": 14_714_688 + head(512),
    "backbone_lstm vgg19": 20_024_384 + head(512),
    "backbone_lstm inception_v3": 21_768_352 + head(2048),
    "backbone_lstm xception": 20_806_952 + head(2048),
    "backbone_lstm resnet50": 23_534_592 + head(2048),
    "backbone_lstm mobilenet": 3_206_976 + head(1024),
    "backbone_lstm inception_resnet_v2": 54_276_192 + head(1536),
    "motion_pool mobilenet": 3_206_976 + (256 + 512 + 512) * 2 + 2,
    "frame_classifier inception_v3": 21_768_352 + 2048 * 6 + 6,
    # LSTMs of 2056 over the frames and of 128 over the sound, whose CNN has three convolutions and two normalizations
    # and makes 8 bands of 64 channels of 64 bands, and the last layer.
    "genre_crnn inception_v3": 21_768_352
    + 4 * 2056 * (2048 + 2056 + 1)
    + (8 * 1 * 16 + 15 * 16 * 32 + 9 * 32 * 64 + 16 + 3 * (32 + 64))
    + 4 * 128 * (8 * 64 + 128 + 1)
    + (2056 + 128 + 1) * 6,
    "video_resnet r2plus1d_18": 31_301_151,
    "video_resnet r2plus1d_10": 14_353_545,
    "video_resnet r2plus1d_34": 63_697_175 - 398 * (512 + 1),
    "video_resnet r3d_18": 33_167_298,
    "video_resnet mc3_18": 11_491_266,
    # As PyTorch's ports of C3D count it for UCF101.
    "c3d": 78_409_573,
    "convlstm": 44_524,
    "lrcn": 73_060,
}


@pytest.fixture(scope="module")
def entries():
    return {entry.label: entry for entry in zoo.entries()}


def test_every_model_and_every_variant_has_a_pinned_count(entries):
    assert set(entries) == set(PARAMETERS)
    assert {label.split()[0] for label in entries} == set(MODELS)


@pytest.mark.parametrize("label", PARAMETERS)
def test_parameter_counts_are_the_pinned_ones(entries, label):
    assert zoo.num_parameters(zoo.variable_shapes(entries[label])) == PARAMETERS[label]


@pytest.mark.parametrize(
    ("label", "multiplications"),
    # From the metadata of torchvision's weights, for 16 frames of 112x112.
    [("r2plus1d_18", 40.519e9), ("r3d_18", 40.697e9), ("mc3_18", 43.343e9)],
)
def test_flops_of_the_video_resnets_are_torchvisions(entries, label, multiplications):
    entry = entries[f"video_resnet {label}"]
    flops = zoo.inference_flops(entry, zoo.variable_shapes(entry))
    assert flops == pytest.approx(2 * multiplications, rel=1e-3)


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--markdown", "| video_resnet mc3_18 | 16 x 112x112 | 11,491,266 | 86.68 | torchvision: parameters |"),
        ("--nomarkdown", "video_resnet mc3_18  16 x 112x112              11,491,266   86.68  torchvision: parameters"),
    ],
)
def test_the_command_prints_a_table(entries, monkeypatch, capsys, flag, expected):
    monkeypatch.setattr(zoo, "entries", lambda: [entries["video_resnet mc3_18"]])
    run_command("jaxvid.models", flag)
    lines = capsys.readouterr().out.splitlines()
    assert "parameters (trainable)" in lines[0]
    assert lines[-1] == expected


@pytest.mark.slow
def test_the_table_of_the_readme_is_what_the_command_prints(capsys):
    readme = Path(zoo.__file__).with_name("README.md").read_text()
    table = readme.split("<!-- table -->\n")[1].split("<!-- end of table -->")[0]
    run_command("jaxvid.models", "--markdown")
    assert table == capsys.readouterr().out
