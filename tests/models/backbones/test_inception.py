import pytest

from tests.models.backbones.keras_reference import assert_equal_outputs

# Name, size of the frames (None: the smallest) and the layout of the weight file. All of these take long to
# build, in Keras and here.
CASES = [
    pytest.param("inception_v3", (77, 108), "odd.h5", marks=pytest.mark.slow),
    pytest.param("inception_v3", None, "smallest.weights.h5", marks=pytest.mark.slow),
    pytest.param("inception_resnet_v2", (77, 108), "odd.h5", marks=pytest.mark.slow),
    pytest.param("inception_resnet_v2", None, "smallest.weights.h5", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "size", "filename"), CASES)
def test_features_and_probabilities_are_those_of_keras(name, size, filename, tmp_path):
    assert_equal_outputs(name, size, tmp_path / filename)
