import pytest

from tests.models.backbones.keras_reference import assert_equal_outputs

pytestmark = pytest.mark.slow

# Size of the frames (None: the smallest) and the layout of the weight file.
CASES = [((33, 66), "odd.h5"), (None, "smallest.weights.h5")]


@pytest.mark.parametrize("name", ["resnet50"])
@pytest.mark.parametrize(("size", "filename"), CASES, ids=["odd", "smallest"])
def test_features_and_probabilities_are_those_of_keras(name, size, filename, tmp_path):
    assert_equal_outputs(name, size, tmp_path / filename)
