"""R(2+1)D fine-tuned with activations that change when the validation loss rises, on RWF-2000 and others.

    python -m jaxvid.main --config=configs/adaptive_video_resnet.py:frames=12,policy=random \
        --workdir=runs/adaptive --config.dataset.manual_dir=/data
    python -m jaxvid.evaluate --workdir=runs/adaptive --split=train+val --output=runs/adaptive/table_4

The second command counts the clips of training and validation together, as Table 4 does (video_resnet.py).

Arguments:
  `dataset`: a key of configs/datasets.py.
  `frames`: of a sliding window; 12, 4, 6, 8 or 10.
  `policy`: sequence (CELU, Leaky ReLU, ReLU, ReLU6, as in Table 1), random (draws from those) or fixed (ReLU).
  `scope`: global (all activations change together) or per_site.
  `depth`: 18; 10 and 34 train from scratch.

The section `activations` of the config has the rest: trigger, patience, cool-down, return to the best weights,
rejection, convergence.

The paper's best validation accuracy on rwf2000, CELU / Leaky ReLU / ReLU / ReLU6 (Table 2): 4 frames 76.75 / 81 / 84.25
/ 82.25 %, 8 frames 80.25 / 83.75 / 85.5 / 84.75 %, 12 frames 82.5 / 85.5 / 87.75 / 86.25 %; ours: not measurable, as
the dataset is no longer distributed. Results on other clips are in configs/results/README.md. The paper gives neither
stride, optimizer, learning rate, batch size, patience nor how it chose the epoch: here windows do not overlap, so that
an epoch shows every frame once, and held-out sources of the training split choose the epoch.
"""

from configs import video_resnet
from configs.datasets import datasets
from jaxvid.config import parse_arg
from jaxvid.train.adaptation import POLICIES, SCOPES
from jaxvid.types import ConfigDict


def get_config(arg: str | None = None) -> ConfigDict:
    """Returns the config for the arguments of the module's docstring.

    Raises:
      ValueError: on an argument that is not allowed.
    """
    values = parse_arg(
        arg,
        dataset=datasets("rwf2000"),
        frames=(12, 4, 6, 8, 10),
        policy=("sequence", *(policy for policy in POLICIES if policy != "sequence")),
        scope=SCOPES,
        depth=(18, 10, 34),
    )
    config = video_resnet.get_config(f"dataset={values.dataset},frames={values.frames},depth={values.depth}")
    config.clip.update(sampling="sliding_window", window_stride=values.frames)
    config.model.adaptive = True
    config.activations.update(policy=values.policy, scope=values.scope, converge_after=3)
    # The policy ends the run.
    config.train.early_stopping_patience = 0 if values.policy != "fixed" else 5
    return config
