import dataclasses

import numpy as np
import tensorflow_datasets as tfds

from jaxvid.data.dataset import open_split
from jaxvid.train.splits import class_weights


def test_balanced_class_weights_by_hand(config, data_dir):
    split = open_split(tfds.builder(config.dataset.name, data_dir=data_dir), "train")
    metadata = dataclasses.replace(split.metadata, labels=np.asarray([0] * 12 + [1] * 4))
    uneven = dataclasses.replace(split, metadata=metadata)
    np.testing.assert_allclose(class_weights("balanced", split), [1, 1])
    np.testing.assert_allclose(class_weights("balanced", uneven), [16 / 24, 16 / 8], rtol=1e-6)
    np.testing.assert_allclose(class_weights("none", uneven), [1, 1])
