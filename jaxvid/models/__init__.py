"""The architectures by name; `create.py` makes one from its name or a config."""

from types import MappingProxyType

from jaxvid.models.backbone_lstm import BackboneLSTM
from jaxvid.models.clip_model import ClipModel
from jaxvid.models.cnn_lstm import CNNLSTM
from jaxvid.models.convlstm import ConvLSTM
from jaxvid.models.frame_classifier import FrameClassifier
from jaxvid.models.genre_crnn import GenreCRNN
from jaxvid.models.lrcn import LRCN
from jaxvid.models.video_resnet import VideoResNet

MODELS: MappingProxyType[str, type[ClipModel]] = MappingProxyType(
    {
        "cnn_lstm": CNNLSTM,
        "backbone_lstm": BackboneLSTM,
        "video_resnet": VideoResNet,
        "convlstm": ConvLSTM,
        "lrcn": LRCN,
        "frame_classifier": FrameClassifier,
        "genre_crnn": GenreCRNN,
    }
)
