import logging
import time
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file

from manyhot.errors import ModelError
from manyhot.models.encoders import count_features, create_encoder, load_encoder_weights, preprocessing_of


@pytest.mark.parametrize(
    ("name", "image_size"), [("test_resnet", 17), ("test_vit", 48), ("test_efficientnet", 33), ("test_convnext", 41)]
)
def test_an_encoder_gives_one_vector_a_picture_at_any_size(name: str, image_size: int) -> None:
    encoder = create_encoder(name, image_size=image_size)
    num_features = count_features(encoder, name, image_size=image_size)
    assert encoder(torch.zeros(2, 3, image_size, image_size)).shape == (2, num_features)


def test_an_encoder_of_one_fixed_size_is_built_for_the_size_asked_for() -> None:
    assert timm.get_pretrained_cfg("vit_tiny_patch16_224").fixed_input_size
    encoder = create_encoder("vit_tiny_patch16_224", image_size=32)
    assert count_features(encoder, "vit_tiny_patch16_224", image_size=32) == 192


def test_a_size_that_the_encoder_cannot_take_is_one_line() -> None:
    encoder = create_encoder("levit_128s", image_size=30)
    expected = r"^encoder 'levit_128s' does not take pictures of 30 × 30 pixels \(.*--image-size"
    with pytest.raises(ModelError, match=expected) as caught:
        count_features(encoder, "levit_128s", image_size=30)
    assert "\n" not in str(caught.value)


def test_counting_features_changes_neither_mode_nor_statistics_nor_randomness() -> None:
    encoder = create_encoder("test_resnet", image_size=32)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    state = torch.get_rng_state()
    count_features(encoder, "test_resnet", image_size=32)
    assert encoder.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("resnet5", "resnet50"),
        ("resnet18.a1_in2k", "a1_in1k"),
        ("hf-hub:someone/resnet18", ""),
        ("local-dir:weights", ""),
        ("", ""),
    ],
)
def test_an_unknown_encoder_is_refused_with_the_nearest_name(name: str, hint: str) -> None:
    with pytest.raises(ModelError, match=f"did you mean '{hint}'" if hint else "there is no encoder"):
        create_encoder(name, image_size=32)


def test_preprocessing_is_that_of_the_published_weights() -> None:
    assert preprocessing_of("resnet18", image_size=64).std == (0.229, 0.224, 0.225)
    assert preprocessing_of("vit_tiny_patch16_224", image_size=64).mean == (0.5, 0.5, 0.5)
    assert preprocessing_of("resnet18", image_size=64).image_size == 64


def test_none_leaves_the_encoder_as_it_is() -> None:
    encoder = create_encoder("test_resnet", image_size=32)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    load_encoder_weights(encoder, "test_resnet", "none")
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())


def test_weights_of_a_classifying_model_load_without_its_classifier(tmp_path: Path) -> None:
    source = timm.create_model("test_resnet", num_classes=7)
    save_file(source.state_dict(), tmp_path / "weights.safetensors")
    encoder = create_encoder("test_resnet", image_size=32)
    load_encoder_weights(encoder, "test_resnet", tmp_path / "weights.safetensors")
    images = torch.rand(2, 3, 32, 32)
    source.eval(), encoder.eval()
    torch.testing.assert_close(encoder(images), source.forward_head(source.forward_features(images), pre_logits=True))


def test_a_position_embedding_of_another_size_is_resampled(tmp_path: Path) -> None:
    source = timm.create_model("test_vit", num_classes=3, img_size=64)
    save_file(source.state_dict(), tmp_path / "weights.safetensors")
    encoder = create_encoder("test_vit", image_size=32)
    assert source.pos_embed.shape != encoder.pos_embed.shape
    load_encoder_weights(encoder, "test_vit", tmp_path / "weights.safetensors")
    torch.testing.assert_close(encoder.blocks[0].attn.qkv.weight, source.blocks[0].attn.qkv.weight)


def test_weights_that_do_not_fit_name_file_and_encoder(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match=r"weights\.safetensors: does not fit encoder 'test_resnet'.*missing"):
        load_encoder_weights(create_encoder("test_resnet", image_size=32), "test_resnet", path)


def test_auto_without_a_network_fails_at_once_and_says_how_to_go_on() -> None:
    encoder = create_encoder("test_resnet", image_size=32)
    start = time.monotonic()
    with pytest.raises(
        ModelError, match=r"^the published weights of 'test_resnet' cannot be had.*--pretrained none"
    ) as caught:
        load_encoder_weights(encoder, "test_resnet", "auto")
    assert time.monotonic() - start < 10
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["mixer_s16_224", "gcvit_base"])
def test_an_encoder_without_weights_on_the_hub_says_how_to_go_on(name: str) -> None:
    with pytest.raises(ModelError, match=f"publishes no weights for '{name}'.*--pretrained none"):
        load_encoder_weights(torch.nn.Identity(), name, "auto")


def test_auto_says_host_and_size_before_it_downloads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source = timm.create_model("test_resnet", num_classes=7)
    save_file(source.state_dict(), tmp_path / "model.safetensors")

    def download(repository: str, file_name: str, **_: object) -> str:
        assert "377 MB" in caplog.text
        assert huggingface_hub.constants.ENDPOINT.removeprefix("https://") in caplog.text
        assert repository.startswith("timm/test_resnet")
        return str(tmp_path / file_name)

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda url, timeout: SimpleNamespace(size=377_000_000))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: None)
    encoder = create_encoder("test_resnet", image_size=32)
    with caplog.at_level(logging.INFO, "manyhot"):
        load_encoder_weights(encoder, "test_resnet", "auto")
    torch.testing.assert_close(encoder.state_dict()["conv1.0.weight"], source.state_dict()["conv1.0.weight"])
