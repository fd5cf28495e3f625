import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxvid.config import base_config
from jaxvid.models.activations import Activation
from jaxvid.models.backbone_lstm import BackboneLSTM
from jaxvid.models.clip_model import ClipModel
from jaxvid.models.cnn_lstm import CNNLSTM
from jaxvid.models.convlstm import ConvLSTM
from jaxvid.models.lrcn import LRCN
from jaxvid.models.video_resnet import VideoResNet
from jaxvid.predict.grad_cam import explain, grad_cam
from jaxvid.predict.predictor import Predictor
from jaxvid.predict.windows import Window
from tests.tiny import find_a_face_in_every_frame


class Weighted(ClipModel):
    """Logits: the mean red, and the mean green less the mean blue, of all frames; its one stage is the image."""

    @nn.compact
    def __call__(self, clips, *, train):
        maps = Activation("relu", name="stage")(clips.reshape(-1, *clips.shape[2:]))
        red, green, blue = maps.mean(axis=(0, 1, 2))
        return jnp.stack([red, green - blue])[None]


def test_grad_cam_by_hand():
    clips = np.zeros((1, 2, 2, 3, 3), np.float32)
    clips[0, 0, 0, 1, 0] = 0.5  # red in frame 0
    clips[0, 1, 1, 2, 1] = 0.8  # green in frame 1,
    clips[0, 1, 0, 0, 1] = 0.4  # half as strong elsewhere,
    clips[0, 1, 0, 0, 2] = 0.1  # where blue takes a quarter away
    clips[0, 1, 1, 0, 2] = 0.9  # and blue alone, which counts against
    red = np.zeros((2, 2, 3))
    red[0, 0, 1] = 1
    np.testing.assert_allclose(grad_cam(Weighted(num_classes=2), {}, jnp.asarray(clips), 0), red, atol=1e-6)
    green = np.zeros((2, 2, 3))
    green[1, 1, 2], green[1, 0, 0] = 1, 0.3 / 0.8
    np.testing.assert_allclose(grad_cam(Weighted(num_classes=2), {}, jnp.asarray(clips), 1), green, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (CNNLSTM(num_classes=2, arch="C4R1D2"), (4, 32, 32, 3)),
        (LRCN(num_classes=2), (4, 64, 64, 3)),
        (ConvLSTM(num_classes=2), (2, 48, 48, 3)),
        (VideoResNet(num_classes=2, variant="r2plus1d_10"), (4, 32, 32, 3)),
        (BackboneLSTM(num_classes=2, backbone="mobilenet"), (2, 64, 64, 3)),
    ],
)
def test_every_architecture_has_a_stage_with_feature_maps(model, shape):
    clips = jax.random.normal(jax.random.key(0), (1, *shape))
    variables = jax.jit(lambda clips: model.init(jax.random.key(1), clips, train=False))(clips)
    cams = [grad_cam(model, variables, clips, label) for label in (0, 1)]
    for cam in cams:
        assert len(cam) == shape[0]
        assert max(cam.shape[1:]) > 1
        assert (cam >= 0).all()
    assert max(cam.max() for cam in cams) == pytest.approx(1)


def test_a_strip_shows_frames_with_their_heat_maps_below(monkeypatch):
    monkeypatch.setattr("jaxvid.predict.grad_cam.module_from_config", lambda _: Weighted(num_classes=2))
    config = base_config()
    config.dataset.update(frame_size=(8, 16))
    config.clip.update(num_frames=3, height=8, width=16)
    config.model = {"name": "made up"}
    frames = np.zeros((3, 8, 16, 3), np.uint8)
    frames[1, 2:6, 8:, 0] = 255
    window = Window(0.0, 1.0, tuple(frames), (0, 1, 2), 3, np.zeros(0, np.int16))
    strip = explain(Predictor(config, {}, 1, lambda *_: None), window, 0)
    # Three columns of 320x160, each over the other, with gaps of 3.
    assert strip.shape == (160 + 3 + 160, 3 * 320 + 2 * 3, 3)
    above, below = strip[80, 323 + 240], strip[163 + 80, 323 + 240]
    assert above.tolist() == [255, 0, 0]
    assert below[0] > 100
    assert below[1] > 50
    assert strip[163 + 80, 323 + 40].max() < 40


def test_faces_are_blurred_in_the_strip_and_not_for_the_network(monkeypatch):
    monkeypatch.setattr("jaxvid.predict.grad_cam.module_from_config", lambda _: Weighted(num_classes=2))
    find_a_face_in_every_frame(monkeypatch)
    config = base_config()
    config.dataset.update(frame_size=(40, 40))
    config.clip.update(num_frames=1, height=40, width=40)
    config.model = {"name": "made up"}
    stripes = np.zeros((1, 40, 40, 3), np.uint8)
    stripes[:, :, ::4] = stripes[:, :, 1::4] = 255
    window = Window(0.0, 1.0, tuple(stripes), (0,), 1, np.zeros(0, np.int16))
    sharp, blurred = (
        explain(Predictor(config, {}, 1, lambda *_: None), window, 0, without_faces=without).astype(int)
        for without in (False, True)
    )
    assert sharp[:160].std() > 100
    assert blurred[:160].std() < 5
    # The heat map, of the stripes that the network saw, is drawn over the blurred frame.
    assert blurred[163:].std() > 20


def test_a_network_without_feature_maps_is_refused():
    class Flat(ClipModel):
        @nn.compact
        def __call__(self, clips, *, train):
            return Activation("relu")(clips.mean(axis=(1, 2, 3)))

    with pytest.raises(ValueError, match="no stage of the network has feature maps of more than one position"):
        grad_cam(Flat(num_classes=2), {}, jnp.zeros((1, 2, 4, 4, 3)), 0)
