from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from manyhot.errors import ModelError
from manyhot.models.encoders import create_encoder
from manyhot.models.weights import fit_to_encoder, read_weights


@pytest.fixture
def encoder() -> nn.Module:
    return create_encoder("test_resnet", image_size=32)


class Dangerous:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("code ran",))


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth", ".bin"])
def test_tensors_are_read_from_either_kind_of_file(tmp_path: Path, suffix: str) -> None:
    weights = {"a.weight": torch.arange(6.0).reshape(2, 3)}
    path = tmp_path / f"weights{suffix}"
    save_file(weights, path) if suffix == ".safetensors" else torch.save(weights, path)
    assert torch.equal(read_weights(path)["a.weight"], weights["a.weight"])


def test_weights_inside_of_a_training_script_s_file_are_found(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "state_dict": {"a": torch.ones(2)}}, tmp_path / "a.pt")
    assert read_weights(tmp_path / "a.pt").keys() == {"a"}


def test_a_file_that_would_run_code_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"a": torch.ones(2), "b": Dangerous()}, tmp_path / "a.pt")
    with pytest.raises(ModelError, match="could run code"):
        read_weights(tmp_path / "a.pt")
    assert "code ran" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.safetensors", b"\x00" * 20, "cannot be read as safetensors"),
        ("a.safetensors", b"", "cannot be read as safetensors"),
        ("a.pt", b"", "is damaged"),
        ("a.pt", b"PK\x03\x04 cut off", "is damaged"),
        ("a.pt", b"no weights at all", "is damaged"),
        ("a.pt", b"half a checkpoint", "is damaged"),
        ("a.onnx", b"x", "not '.onnx'"),
        ("missing.pt", None, "there is no such weights file"),
    ],
)
def test_a_file_that_is_no_weights_file_is_one_line(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        read_weights(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [[torch.ones(1)], torch.ones(1), {"a": 1}, {}])
def test_a_file_without_a_table_of_tensors_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(ModelError, match="no table of tensors"):
        read_weights(tmp_path / "a.pt")


@pytest.mark.parametrize("prefix", ["", "encoder.", "module.", "model.encoder."])
def test_a_wrapper_s_prefix_is_taken_off(encoder: nn.Module, prefix: str) -> None:
    weights = {prefix + key: value for key, value in encoder.state_dict().items()}
    if prefix:
        weights["head.weight"] = torch.ones(3)
    assert fit_to_encoder(weights, encoder).keys() == encoder.state_dict().keys()


def test_a_classifier_is_left_out(encoder: nn.Module) -> None:
    weights = encoder.state_dict() | {"fc.weight": torch.ones(3, 96), "fc.bias": torch.ones(3)}
    assert fit_to_encoder(weights, encoder, classifiers=("fc",)).keys() == encoder.state_dict().keys()


def test_missing_and_unknown_tensors_are_counted_and_named(encoder: nn.Module) -> None:
    weights = dict(encoder.state_dict())
    for key in ("conv1.0.weight", "bn1.bias"):
        del weights[key]
    weights["surplus.weight"] = torch.ones(1)
    expected = r"2 missing \(conv1\.0\.weight, bn1\.bias\) and 1 unknown \(surplus\.weight\)"
    with pytest.raises(ModelError, match=expected):
        fit_to_encoder(weights, encoder)


def test_weights_of_another_encoder_are_refused_in_one_short_line(encoder: nn.Module) -> None:
    other = create_encoder("test_vit", image_size=32)
    with pytest.raises(ModelError, match="missing") as caught:
        fit_to_encoder(other.state_dict(), encoder)
    assert len(str(caught.value)) < 300


def test_batch_counters_may_be_missing(encoder: nn.Module) -> None:
    weights = {key: value for key, value in encoder.state_dict().items() if "num_batches" not in key}
    assert fit_to_encoder(weights, encoder).keys() == weights.keys()


def test_a_tensor_of_another_shape_is_named_with_both_shapes(encoder: nn.Module) -> None:
    weights = encoder.state_dict() | {"bn1.bias": torch.ones(7)}
    with pytest.raises(ModelError, match=r"'bn1\.bias' has shape \(7,\), not \(\d+,\)"):
        fit_to_encoder(weights, encoder)


def test_a_tensor_with_nan_is_named(encoder: nn.Module) -> None:
    bias = encoder.state_dict()["bn1.bias"].clone()
    bias[1] = float("nan")
    with pytest.raises(ModelError, match=r"'bn1\.bias' holds values that are not finite"):
        fit_to_encoder(encoder.state_dict() | {"bn1.bias": bias}, encoder)


def test_fitting_leaves_the_encoder_unchanged(encoder: nn.Module) -> None:
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    fit_to_encoder({key: torch.zeros_like(value) for key, value in before.items()}, encoder)
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())
