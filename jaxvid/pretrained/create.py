"""One call from a model's name to a network with its weights."""

import os
from typing import Any

from jaxvid.models.clip_model import ClipModel
from jaxvid.models.create import Variables, create_module, initial_variables
from jaxvid.pretrained.load import check_weights, load_weights


def create_model(
    name: str,
    *,
    num_classes: int,
    pretrained: str | os.PathLike[str] = "",
    clip_shape: tuple[int, int, int, int] | None = None,
    seed: int = 0,
    **fields: Any,
) -> tuple[ClipModel, Variables]:
    """A network and its variables.

        model, variables = jaxvid.create_model("video_resnet", num_classes=2, pretrained="kinetics400")
        logits = model.apply(variables, clips, train=False)

    Args:
      name: one of `jaxvid.list_models()`.
      num_classes: number of logits. The weights of the last layer are fresh where the published ones are for another
        number.
      pretrained: the name of the published weights ("imagenet" for backbones, "kinetics400" for Video ResNets; they
        are downloaded once), the path of a weight file, or "" for fresh variables.
      clip_shape: time, height, width and channels of the clips; by default those that the model was published for. The
        dense layers of ConvLSTM and LRCN depend on it.
      seed: of the fresh variables.
      fields: of the module, such as `variant`, `backbone`, `activation` or `dtype` ("float32", "bfloat16").

    Raises:
      ValueError: on an unknown name, field or value, naming it and what is allowed; if the weights do not fit the
        model, listing everything that does not.
      DownloadError: if published weights are neither in the cache nor can be downloaded.
    """
    # In a config, 0 stands for the dataset's number; here there is no dataset.
    if num_classes < 1:
        raise ValueError(f"num_classes is {num_classes}; allowed: 1 or more")
    model = create_module(name, num_classes=num_classes, **fields)
    check_weights(model, os.fspath(pretrained))
    variables = initial_variables(model, clip_shape or model.default_clip(), seed)
    return model, load_weights(model, os.fspath(pretrained), variables) if pretrained else variables
