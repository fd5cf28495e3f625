"""Where a network looks: Grad-CAM over the frames of a window.

Source: R. Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization, ICCV
2017: the feature maps of the last convolutional stage, weighted by the gradient of a class's logit, without what is
negative.
"""

from collections.abc import Callable
from typing import Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, PyTree, UInt8

from jaxvid.data.preprocess import preprocess
from jaxvid.models.clip_model import AudioVisualClips, ClipModel
from jaxvid.models.create import module_from_config
from jaxvid.predict.predictor import Predictor
from jaxvid.predict.windows import Window
from jaxvid.steps import network_input
from jaxvid.video.faces import blur_faces

_MAX_FRAMES = 8
_SIDE = 160
_GAP = 3


def grad_cam(
    model: ClipModel, variables: PyTree, clips: Float[Array, "1 time height width 3"] | AudioVisualClips, label: int
) -> Float[np.ndarray, "time map_height map_width"]:
    """Returns how much each position of each frame adds to a class, from 0 to 1, on the grid of the last stage.

    Args:
      model: a model with a convolutional stage.
      variables: variables of the model.
      clips: one clip, as the network takes it.
      label: index of the class.

    Raises:
      ValueError: if no stage of the network has feature maps of more than one position.
    """
    stage, shape = _last_stage(model, variables, clips)

    def logit(added: Array) -> tuple[Array, Array]:
        maps = []

        def add(call: Callable, args: tuple, kwargs: dict, context: nn.module.InterceptorContext) -> Any:
            output = call(*args, **kwargs)
            if not _is_stage(context, model) or "/".join(context.module.path) != stage:
                return output
            maps.append(output)
            return output + added

        with nn.intercept_methods(add):
            logits = model.apply(variables, clips, train=False)
        return jnp.asarray(logits)[0, label], maps[0]

    gradient, maps = jax.jit(jax.grad(logit, has_aux=True))(jnp.zeros(shape.shape, shape.dtype))
    # One clip: whether time or the batch comes first makes no difference.
    gradient, maps = (np.asarray(x, np.float32).reshape(-1, *x.shape[-3:]) for x in (gradient, maps))
    weights = gradient.mean(axis=(1, 2), keepdims=True)
    cam = np.maximum((weights * maps).sum(axis=-1), 0)
    # Where the network halves time, a map stands for several frames.
    time = (clips.frames if isinstance(clips, AudioVisualClips) else clips).shape[1]
    cam = cam[np.arange(time) * len(cam) // time]
    return cam / (cam.max() or 1)


def _is_stage(context: nn.module.InterceptorContext, model: ClipModel) -> bool:
    """Whether a call is of a layer whose outputs are feature maps of frames, not of spectrograms."""
    if not isinstance(context.module, model.map_layers) or context.method_name != "__call__":
        return False
    return not set(model.sound_modules) & set(context.module.path)


def _last_stage(
    model: ClipModel, variables: PyTree, clips: Array | AudioVisualClips
) -> tuple[str, jax.ShapeDtypeStruct]:
    """Returns the name of the last stage whose feature maps have more than one position, and its output's shape."""
    stages: dict[str, jax.ShapeDtypeStruct] = {}

    def note(call: Callable, args: tuple, kwargs: dict, context: nn.module.InterceptorContext) -> Any:
        output = call(*args, **kwargs)
        if _is_stage(context, model) and context.module.path and output.ndim >= 4 and max(output.shape[-3:-1]) > 1:
            stages["/".join(context.module.path)] = jax.ShapeDtypeStruct(output.shape, output.dtype)
        return output

    with nn.intercept_methods(note):
        jax.eval_shape(lambda clips: model.apply(variables, clips, train=False), clips)
    if not stages:
        raise ValueError("no stage of the network has feature maps of more than one position, which Grad-CAM needs")
    return list(stages.items())[-1]


def explain(
    predictor: Predictor, window: Window, label: int, *, without_faces: bool = False
) -> UInt8[np.ndarray, "strip_height strip_width 3"]:
    """Returns a strip of frames of a window, preprocessed, and under each the same frame with its heat map.

    Args:
      predictor: the trained model.
      window: a window with as many frames as the model takes, of `frame_size`.
      label: index of the class.
      without_faces: whether faces are blurred in the strip; the network sees them all the same.

    Raises:
      ValueError: as in `grad_cam`.
    """
    config = predictor.config.copy_and_resolve_references()
    inputs = {key: jnp.asarray(values) for key, values in predictor.inputs([window]).items()}
    model = module_from_config(config.model)
    clips = network_input(inputs, preprocess(inputs["frames"], config.clip), model, config.audio)
    cam = grad_cam(model, predictor.variables, clips, label)
    config.clip.normalization = "unit"
    images = np.asarray(255 * jnp.clip(preprocess(inputs["frames"], config.clip)[0], 0, 1)).astype(np.uint8)
    chosen = np.unique(np.linspace(0, len(images) - 1, _MAX_FRAMES).round().astype(int))
    shown = blur_faces(images[chosen]) if without_faces else images[chosen]
    columns = [_column(image, cam[i]) for image, i in zip(shown, chosen, strict=True)]
    gap = np.full((columns[0].shape[0], _GAP, 3), 255, np.uint8)
    return np.hstack([part for column in columns for part in (column, gap)][:-1])


def _column(
    image: UInt8[np.ndarray, "height width 3"], cam: Float[np.ndarray, "map_height map_width"]
) -> UInt8[np.ndarray, "column_height column_width 3"]:
    height, width = image.shape[:2]
    size = (max(1, round(_SIDE * width / height)), _SIDE)
    image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    smooth = np.clip(cv2.resize(cam, size, interpolation=cv2.INTER_CUBIC), 0, 1)
    heat = cv2.cvtColor(cv2.applyColorMap((255 * smooth).astype(np.uint8), cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    # The more a position adds, the more of its color shows; elsewhere the image stays recognizable.
    share = 0.25 + 0.5 * smooth[..., None]
    mixed = ((1 - share) * image + share * heat).astype(np.uint8)
    return np.vstack([image, np.full((_GAP, size[0], 3), 255, np.uint8), mixed])
