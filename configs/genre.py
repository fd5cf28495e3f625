"""Genres of longer videos by sight and sound: a CNN retrained on frames, LSTMs over its features and over the sound.

    python -m jaxvid.main --config=configs/genre.py --workdir=runs/genre --config.dataset.manual_dir=/data/genres

The folder holds one folder a class, such as action/, animation/, horror/, romance/, science_fiction/, sports/, with
videos of any length in them, split 80/10/10 by video. They are stored at 4 frames a second in sequences of 40, with
their sound at 16 kHz.

Arguments: `dataset` (video_folder, ucf101_split1/2/3, shv, hockey_fight, movies_fight, rwf2000, ucf50,
surveillance_fight, synthetic_fight, synthetic_genre), `features` of a frame (pool: those that the CNN pools; softmax:
its probabilities of the classes), `audio` and `frames` (true or false: which streams there are), `backbone`
(inception_v3, vgg16, vgg19, xception, resnet50, mobilenet, inception_resnet_v2), `audio_backbone` (small: three
convolutions, trained with the LSTM; or one of the backbones), `spectrogram` (log_mel, mfcc).

Two stages: first the CNN, from ImageNet weights, on single frames, 4000 steps with a checkpoint every 400, in
WORKDIR/frames, of which --config.retrain.checkpoint=best or =400 picks another than the last; then the LSTMs on its
features, computed once. --config.retrain.num_steps=0 leaves the CNN as it came. --config.model.pretrained=FILE takes
weights from a file, --config.model.pretrained= none.

The paper's accuracy: 90.3 % with features=pool, 85.4 % with softmax, on videos that its authors collected for six
genres. These are frames alone, as far as it tells; its figures for the sound are not given. Ours there: not measurable,
as the videos are not public; the time: not measured. Ours on surveillance_fight: see the README. The paper gives
neither batch sizes nor learning rates ("default"), nor says which layers were retrained: here all.
"""

import ml_collections

from configs.datasets import dataset_section, datasets
from jaxvid.config import base_config, parse_arg
from jaxvid.data.spectrograms import KINDS, num_bands
from jaxvid.models.backbones import BACKBONES
from jaxvid.models.genre_crnn import FEATURES
from jaxvid.types import ConfigDict

_FPS, _NUM_FRAMES, _SAMPLE_RATE, _SIZE = 4, 40, 16000, 225


def get_config(arg: str | None = None) -> ConfigDict:
    """The config, by the arguments of this module's docstring.

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
    )
    if not (values.audio or values.frames):
        raise ValueError("config arguments audio='false' with frames='false'; allowed: one of them true")
    if values.features == "softmax" and not values.frames:
        raise ValueError("config arguments features='softmax' with frames='false'; allowed: pool")
    config = base_config()
    form = f"{_SIZE}x{_SIZE}_{_FPS}fps_{_NUM_FRAMES}frames" + f"_{_SAMPLE_RATE}hz" * values.audio
    config.dataset.update(dataset_section(values.dataset, form))
    # The scaling of pictures is part of the backbone.
    config.clip.update(sampling="sequence", num_frames=_NUM_FRAMES, height=_SIZE, width=_SIZE, normalization="raw")
    config.audio.update(sample_rate=_SAMPLE_RATE * values.audio, seconds=_NUM_FRAMES / _FPS, kind=values.spectrogram)
    config.model = ml_collections.ConfigDict(
        {
            "name": "genre_crnn",
            "num_classes": 0,
            "streams": ("frames",) * values.frames + ("sound",) * values.audio,
            "backbone": values.backbone,
            "features": values.features,
            "lstm_features": 2056,
            "audio_backbone": "" if values.audio_backbone == "small" else values.audio_backbone,
            "audio_lstm_features": 128,
            "num_bands": num_bands(config.audio),
            "dropout_rate": 0.5,
            "activation": "relu",
            "adaptive": False,
            "dtype": "float32",
            "pretrained": "imagenet",
            "trainable": "head",
        }
    )
    config.retrain.num_steps = 4000 * values.frames
    config.optimizer.update(name="adam", learning_rate=1e-4)
    config.train.update(batch_size=16, num_epochs=50, early_stopping_patience=10)
    config.eval.batch_size = 4
    return config
