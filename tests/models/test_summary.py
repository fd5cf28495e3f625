import flax.linen as nn
import jax.numpy as jnp
import pytest

from configs import shdn
from jaxvid.models import diagram, summary, zoo
from jaxvid.models.clip_model import ClipModel
from tests.commands import run_command

SHDN = shdn.__file__


class TwoStreams(ClipModel, kw_only=True):
    """Two dense layers side by side over the mean of all pixels, joined before a third."""

    @nn.compact
    def __call__(self, clips, *, train):
        layers = self.layers()
        x = clips.mean(axis=(1, 2, 3))
        left = layers.activation(name="left_activation")(layers.dense(4, name="left")(x))
        right = layers.dropout(0.5, name="right_dropout")(layers.dense(5, name="right")(x), train=train)
        joined = jnp.concatenate([left, right], axis=-1)
        return layers.dense(self.num_classes, name="head")(layers.activation(name="joined")(joined))


@pytest.fixture(scope="module")
def lrcn():
    return summary.trace(zoo.named_entry("lrcn").model, (20, 64, 64, 3))


def test_layers_have_the_shapes_parameters_and_operations_of_a_count_by_hand(lrcn):
    conv2, lstm, head = (lrcn.layers[path] for path in ("conv2", "lstm", "head"))
    assert conv2[1:5] == ("Conv", "3x3, 32", (20, 16, 16, 16), (20, 16, 16, 32))
    assert conv2.parameters == 3 * 3 * 16 * 32 + 32
    assert conv2.flops == 2 * 20 * 16 * 16 * 32 * (3 * 3 * 16)
    # Four gates from 64 features and a state of 32, in each of 20 steps.
    assert lstm.parameters == 4 * 32 * (64 + 32 + 1)
    assert lstm.flops == 2 * 20 * 4 * 32 * (64 + 32)
    assert (head.parameters, head.flops) == (32 * 4 + 4, 2 * 32 * 4)
    assert lrcn.parameters == 73_060
    assert list(lrcn.layers)[:4] == ["conv1", "activation1", "dropout1", "conv2"]


def test_the_operations_of_all_layers_are_those_of_the_network(lrcn):
    top = sum(layer.flops for path, layer in lrcn.layers.items() if "/" not in path)
    entry = zoo.named_entry("lrcn")
    assert lrcn.flops == top == zoo.inference_flops(entry, zoo.variable_shapes(entry))


def test_a_box_is_a_layer_with_what_follows_it(lrcn):
    boxes = diagram.boxes_of(lrcn)
    assert list(boxes) == ["frames", "conv1", "conv2", "conv3", "conv4", "lstm", "head", "classes"]
    conv1, lstm = boxes["conv1"], boxes["lstm"]
    # Dropout does nothing outside of training.
    assert conv1.layers[:3] == ["Conv 3x3, 16", "relu", "max-pool 4x4"]
    assert (conv1.output, conv1.parameters, list(conv1.sources)) == ("20 x 16 x 16 x 16", 448, ["frames"])
    assert (lstm.output, list(lstm.sources)) == ("20 x 32", ["conv4"])
    assert (boxes["classes"].output, list(boxes["classes"].sources)) == ("4", ["head"])


def test_boxes_take_what_the_program_takes():
    boxes = diagram.boxes_of(summary.trace(TwoStreams(num_classes=2), (2, 4, 4, 3)))
    assert {key: list(box.sources) for key, box in boxes.items()} == {
        "frames": [],
        "left": ["frames"],
        "right": ["frames"],
        # With two boxes before it, it belongs to neither.
        "joined": ["left", "right"],
        "head": ["joined"],
        "classes": ["head"],
    }
    assert boxes["left"].layers == ["Dense 4", "relu"]


def test_modules_are_opened_while_the_boxes_are_few_or_to_a_depth(monkeypatch):
    traced = summary.trace(zoo.named_entry("cnn_lstm:arch=C4R1D3").model, (2, 32, 32, 3))
    head = ["lstm", "dense1", "dense2", "head", "classes"]
    opened = ["frames", "cnn/conv1", "cnn/conv2", *head]
    assert list(diagram.boxes_of(traced)) == opened
    assert list(diagram.boxes_of(traced, depth=2)) == opened
    closed = ["frames", "cnn", *head]
    assert list(diagram.boxes_of(traced, depth=1)) == closed
    monkeypatch.setattr(diagram, "MAX_BOXES", 7)
    assert list(diagram.boxes_of(traced)) == closed


def test_sound_is_an_input_of_its_own():
    entry = zoo.named_entry("genre_crnn:streams=sound,num_classes=3", "2x64x64")
    boxes = diagram.boxes_of(summary.trace(entry.model, entry.clip), depth=2)
    assert {key: list(box.sources) for key, box in boxes.items()} == {
        "spectrograms": [],
        "head/spectrogram_cnn": ["spectrograms"],
        "head/sound": ["head/spectrogram_cnn"],
        "head/classifier": ["head/sound"],
        "classes": ["head/classifier"],
    }


def test_the_command_prints_the_layers_and_draws_them(tmp_path, capsys):
    output = tmp_path / "sub" / "lrcn.svg"
    run_command("jaxvid.models", "lrcn:num_classes=3,activation=elu:0.5", "--clip=4x64x64", f"--diagram={output}")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["layer", "kind", "size", "output", "parameters", "MFLOPs"]
    assert lines[2].split() == [
        "activation1",
        "Activation",
        "elu:0.5",
        "4",
        "x",
        "64",
        "x",
        "64",
        "x",
        "16",
        "0",
        "0.00",
    ]
    assert lines[-2].split() == ["all", "73,027", "27.23"]
    assert lines[-1] == f"Written: {output}"
    drawn = output.read_text()
    for text in ("lrcn:num_classes=3,activation=elu:0.5", "conv4", "elu:0.5, max-pool 2x2", "12,416 parameters"):
        assert f"<!-- {text} -->" in drawn
    with pytest.raises(ValueError, match="--diagram is '.*x.doc'; allowed: a file that ends in .*svg"):
        run_command("jaxvid.models", "lrcn", f"--diagram={tmp_path / 'x.doc'}")
    assert [path.name for path in tmp_path.iterdir()] == ["sub"]


# How ml_collections loads a config file.
@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
def test_the_network_of_a_config_is_summarized(capsys):
    run_command("jaxvid.models", f"--config={SHDN}:arch=C4R1D2", "--depth=1", "--markdown")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in lines] == [
        "| layer",
        "| ---",
        *("| " + name for name in ("cnn", "lstm", "dense1", "dense_activation1", "Dropout_0", "head", "all")),
    ]
    assert lines[-1] == "| all |  |  |  | 442,658 | 928.25 |"  # 616.56 + 301.99 + 9.44 + 0.26


def test_fields_of_several_items_and_of_numbers_are_parsed():
    model = zoo.named_entry("backbone_lstm:dense=64+8,dropout_rate=0.5,bidirectional=true,backbone=mobilenet").model
    assert (model.dense, model.dropout_rate, model.bidirectional) == ((64, 8), 0.5, True)
    assert (model.backbone, model.num_classes) == ("mobilenet", 2)


@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lrnc"], "the model is 'lrnc'; allowed: cnn_lstm, .*video_resnet r2plus1d_18"),
        (["lrcn:widht=3"], "unknown config argument 'widht'; allowed: "),
        (["video_resnet:variant=r2d"], "variant is 'r2d'; allowed: r2plus1d_10"),
        (["lrcn", "--clip=20x64"], "--clip is '20x64'; allowed: frames, height and width, such as 16x112x112"),
        (["lrcn", "convlstm"], "unexpected argument 'convlstm'"),
        (["lrcn", f"--config={SHDN}"], "the model is 'lrcn' and --config is given; allowed: one of both"),
        (["--diagram=x.svg"], "--diagram is 'x.svg', which needs a model"),
    ],
)
def test_what_names_no_network_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        run_command("jaxvid.models", *arguments)
