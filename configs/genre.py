"""Genres of longer videos from frames and sound: a CNN retrained on frames, LSTMs over its features and over the sound.

    python -m jaxvid.main --config=configs/genre.py --workdir=runs/genre --config.dataset.manual_dir=/data/genres

The folder holds one folder per class, such as action/, animation/, horror/, romance/, science_fiction/, sports/, with
videos of any length, split 80/10/10 by video. They are stored at 4 frames per second in sequences of 40, with sound at
16 kHz. The model is genre_crnn.

Arguments:
  `dataset`: a key of configs/datasets.py.
  `features`: of a frame: pool (those that the CNN pools) or softmax (its probabilities of the classes).
  `frames`, `audio`: true or false: whether the model has a stream of frames, of sound.
  `backbone`: inception_v3, vgg16, vgg19, xception, resnet50, mobilenet or inception_resnet_v2.
  `audio_backbone`: small (three convolutions, trained with the LSTM), or one of the backbones.
  `spectrogram`: log_mel or mfcc.
  `lstm_features`: width of the LSTM over the frames, 2056, 1024 or 512.
  `lstm_layers`: 1, 2 or 3 of them, one over another.

Training has two stages. First the CNN, from ImageNet weights, is trained on single frames in WORKDIR/frames: 4000 steps
with a checkpoint every 400. Then the LSTMs are trained on its features, which are computed once.
--config.retrain.checkpoint=best or =400 starts them from another checkpoint than the last;
--config.retrain.num_steps=0 leaves out the first stage. --config.model.pretrained=FILE reads weights from a file,
--config.model.pretrained= trains from scratch. The CNN with its layer of classes is a run of its own, with metrics of
single frames and of whole videos:

    python -m jaxvid.evaluate --workdir=runs/genre/frames --every_frame
    python -m jaxvid.export --workdir=runs/genre/frames --output=frames.zip

The paper's accuracy: 90.3 % with features=pool, 85.4 % with softmax, on videos that its authors collected for six
genres. These are of frames alone, as far as the text tells; it gives no accuracy with sound. Ours there: not
measurable, as the videos are not public. Ours on other data is in configs/results/README.md. The paper gives neither
batch sizes nor learning rates ("default"), nor says which layers were retrained: here all. It tried a deeper and a
wider network and found the wider one better, without figures or sizes; `lstm_layers=2,lstm_features=1024` is a deeper
one.
"""

from configs.datasets import dataset_section, datasets
from configs.models import model_section
from jaxvid.config import base_config, parse_arg
from jaxvid.data.spectrograms import KINDS, num_bands
from jaxvid.models.backbones import BACKBONES
from jaxvid.models.genre_crnn import FEATURES
from jaxvid.types import ConfigDict

_FPS, _NUM_FRAMES, _SAMPLE_RATE, _SIZE = 4, 40, 16000, 225


def get_config(arg: str | None = None) -> ConfigDict:
    """Returns the config for the arguments of the module's docstring.

    Raises:
      ValueError: on an argument that is not allowed, or neither frames nor audio.
    """
    values = parse_arg(
        arg,
        dataset=datasets("video_folder"),
        features=FEATURES,
        audio=True,
        frames=True,
        backbone=("inception_v3", *(name for name in BACKBONES if name != "inception_v3")),
        audio_backbone=("small", *BACKBONES),
        spectrogram=KINDS,
        lstm_features=(2056, 1024, 512),
        lstm_layers=(1, 2, 3),
    )
    if not (values.audio or values.frames):
        raise ValueError("config arguments audio='false' with frames='false'; allowed: one of them true")
    if values.features == "softmax" and not values.frames:
        raise ValueError("config arguments features='softmax' with frames='false'; allowed: pool")
    config = base_config()
    options = f"_{_FPS}fps_{_NUM_FRAMES}frames" + f"_{_SAMPLE_RATE}hz" * values.audio
    config.dataset.update(dataset_section(values.dataset, f"{_SIZE}x{_SIZE}", options))
    # The backbone scales the pixels itself.
    config.clip.update(sampling="sequence", num_frames=_NUM_FRAMES, height=_SIZE, width=_SIZE, normalization="raw")
    config.audio.update(sample_rate=_SAMPLE_RATE * values.audio, seconds=_NUM_FRAMES / _FPS, kind=values.spectrogram)
    config.model = model_section(
        "genre_crnn",
        streams=("frames",) * values.frames + ("sound",) * values.audio,
        backbone=values.backbone,
        features=values.features,
        lstm_features=values.lstm_features,
        lstm_layers=values.lstm_layers,
        audio_backbone="" if values.audio_backbone == "small" else values.audio_backbone,
        audio_lstm_features=128,
        num_bands=num_bands(config.audio),
        dropout_rate=0.5,
        activation="relu",
        pretrained="imagenet",
        trainable="head",
    )
    config.retrain.num_steps = 4000 * values.frames
    config.optimizer.update(name="adam", learning_rate=1e-4)
    config.train.update(batch_size=16, num_epochs=50, early_stopping_patience=10)
    config.eval.batch_size = 4
    return config
