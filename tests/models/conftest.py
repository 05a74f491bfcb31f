import pytest

from manyhot.models.spec import ModelSpec, Preprocessing


@pytest.fixture
def spec() -> ModelSpec:
    """A tiny model of five labels at 32 pixels."""
    preprocessing = Preprocessing(image_size=32, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    return ModelSpec(encoder="test_resnet", num_labels=5, preprocessing=preprocessing)
