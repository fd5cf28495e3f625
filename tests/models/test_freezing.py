import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
from flax import linen as nn
from flax import traverse_util

from jaxvid import parallel
from jaxvid.config import base_config
from jaxvid.models.clip_model import ClipModel
from jaxvid.models.create import module_from_config
from jaxvid.models.freezing import (
    BACKBONE,
    FROZEN,
    HEAD,
    check_trainable,
    frozen_norms_kept,
    parameter_labels,
    without_gradient,
)
from jaxvid.steps import create_state, initial_variables, train_step
from jaxvid.train.optimizer import create_optimizer, create_schedule
from tests.tiny import random_variables


class Small(ClipModel):
    """A backbone of two stages with batch norms, and a head, named as those of the Video ResNets."""

    @nn.compact
    def __call__(self, clips, *, train):
        x = clips.mean(axis=(1, 2, 3))
        for name in ("layer1_0", "layer4_0"):
            x = nn.Dense(4, name=f"{name}_conv")(x)
            x = nn.BatchNorm(momentum=0.5, name=f"{name}_norm")(x, use_running_average=not train)
        return nn.Dense(2, name="head")(x)


def model_config(trainable):
    return ml_collections.ConfigDict({"name": "video_resnet", "num_classes": 2, "trainable": trainable})


def moved_by_a_step(trainable, **optimizer):
    """Returns by how much one step of SGD with weight decay changes each variable, by its path."""
    config = base_config()
    config.clip.update(num_frames=1, height=2, width=2)
    config.optimizer.update({"name": "sgd", "learning_rate": 0.1, "momentum": 0.0, "weight_decay": 0.1, **optimizer})
    model = Small(num_classes=2)
    variables = initial_variables(model, config.clip, 0)
    labels = parameter_labels(variables["params"], model_config(trainable))
    rule = create_optimizer(config.optimizer, create_schedule(config.optimizer, 10), labels)
    before = create_state(variables, rule)

    def step(state, batch):
        return train_step(
            state,
            batch,
            model=model,
            optimizer=rule,
            labels=labels,
            class_weights=jnp.ones(2),
            config=config,
            axis_name=parallel.AXIS_NAME,
        )

    frames = np.random.default_rng(0).integers(0, 256, (4, 1, 2, 2, 3), np.uint8)
    batch = {"frames": frames, "label": np.asarray([0, 1, 0, 1], np.int32)}
    variables = jax.device_get(before.variables)
    after, _ = parallel.over_devices(step)(before, parallel.shard_rows(batch))
    changes = jax.tree.map(lambda old, new: np.abs(np.asarray(new) - old).max(), variables, after.variables)
    return {"/".join(path): change for path, change in traverse_util.flatten_dict(changes).items()}


@pytest.mark.parametrize(
    ("trainable", "frozen_stages"),
    [("all", ()), ("head_and_last_stage", ("layer1_0",)), ("head", ("layer1_0", "layer4_0"))],
)
def test_a_step_leaves_frozen_parameters_and_statistics_unchanged(trainable, frozen_stages):
    for path, change in moved_by_a_step(trainable).items():
        frozen = path.split("/")[1].startswith(frozen_stages) if frozen_stages else False
        # The bias before a batch norm gets no gradient, and starts at zero.
        if not path.endswith("conv/bias"):
            assert (change == 0) == frozen, path


def test_the_backbone_rate_factor_scales_the_steps_of_the_backbone():
    whole = moved_by_a_step("all", weight_decay=0.0)
    tenth = moved_by_a_step("all", weight_decay=0.0, backbone_rate_factor=0.1)
    assert tenth["params/head/kernel"] == pytest.approx(whole["params/head/kernel"], rel=1e-5)
    assert tenth["params/layer1_0_conv/kernel"] == pytest.approx(0.1 * whole["params/layer1_0_conv/kernel"], rel=1e-4)


@pytest.mark.parametrize(
    "backbone", ["vgg16", "vgg19", "resnet50", "mobilenet", "xception", "inception_v3", "inception_resnet_v2"]
)
def test_the_last_stage_of_every_backbone_is_a_part_of_it(backbone):
    config = ml_collections.ConfigDict(
        {"name": "backbone_lstm", "num_classes": 2, "backbone": backbone, "trainable": "head_and_last_stage"}
    )
    clips = jnp.zeros((1, 1, 96, 96, 3))
    model = module_from_config(config)
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), clips, train=False))["params"]
    labels = parameter_labels(params, config)
    assert set(jax.tree.leaves(labels["head"])) == {HEAD}
    assert set(jax.tree.leaves(labels["cnn"])) == {BACKBONE, FROZEN}
    sizes = jax.tree.map(lambda leaf, label: leaf.size * (label == BACKBONE), params["cnn"], labels["cnn"])
    share = sum(jax.tree.leaves(sizes)) / sum(leaf.size for leaf in jax.tree.leaves(params["cnn"]))
    assert 0.2 < share < 0.8


@pytest.mark.usefixtures("tiny_backbone")
@pytest.mark.parametrize("trainable", ["all", "head"])
def test_a_frozen_backbone_has_no_gradient_and_keeps_its_statistics(trainable):
    fields = {"name": "backbone_lstm", "num_classes": 2, "backbone": "tiny", "lstm_features": 8, "dense": (6,)}
    model = module_from_config(ml_collections.ConfigDict(fields))
    clips = jax.random.uniform(jax.random.key(1), (2, 3, 32, 32, 3), maxval=255.0)
    variables = random_variables(model, clips)
    params, batch_stats = variables["params"], variables["batch_stats"]
    labels = parameter_labels(params, ml_collections.ConfigDict({**fields, "trainable": trainable}))

    @jax.jit
    def gradient_and_statistics(params):
        def loss(params):
            with frozen_norms_kept(labels):
                logits, changes = model.apply(
                    {"params": without_gradient(params, labels), "batch_stats": batch_stats},
                    clips,
                    train=True,
                    mutable=["batch_stats"],
                    rngs={"dropout": jax.random.key(2)},
                )
            return (logits**2).sum(), changes

        return jax.grad(loss, has_aux=True)(params)

    gradient, changes = gradient_and_statistics(params)
    frozen = trainable == "head"
    assert bool(jnp.any(gradient["cnn"]["conv"]["kernel"] != 0)) is not frozen
    assert jnp.any(gradient["head"]["lstm1"]["input"]["kernel"] != 0)
    same = jax.tree.map(lambda a, b: np.array_equal(a, b), changes["batch_stats"], batch_stats)
    assert jax.tree.all(same) is frozen


@pytest.mark.usefixtures("tiny_backbone")
def test_the_last_stage_of_a_genre_network_is_that_of_each_of_its_backbones():
    config = ml_collections.ConfigDict(
        {
            "name": "genre_crnn",
            "num_classes": 2,
            "backbone": "tiny",
            "features": "softmax",
            "audio_backbone": "vgg16",
            "trainable": "head_and_last_stage",
        }
    )
    paths = ("cnn/conv", "cnn/conv2", "cnn_top", "audio_cnn/block4_conv3", "audio_cnn/block5_conv1", "head/sound")
    params = traverse_util.unflatten_dict({f"{path}/kernel": 0 for path in paths}, sep="/")
    labels = traverse_util.flatten_dict(parameter_labels(params, config), sep="/")
    expected = (FROZEN, BACKBONE, BACKBONE, FROZEN, BACKBONE, HEAD)
    assert labels == {f"{path}/kernel": label for path, label in zip(paths, expected, strict=True)}


def test_bad_values_are_refused_by_name():
    with pytest.raises(ValueError, match="'haed'; allowed: all, head, head_and_last_stage"):
        check_trainable(model_config("haed"))
    with pytest.raises(ValueError, match="'cnn_lstm' has no backbone: allowed: all"):
        check_trainable(ml_collections.ConfigDict({"name": "cnn_lstm", "num_classes": 2, "trainable": "head"}))
