"""Weights from a file: read without running code from it, and matched to an encoder tensor by tensor."""

import inspect
import struct
import sys
import warnings
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor, nn

from manyhot.errors import ModelError

TORCH_SUFFIXES = (".pt", ".pth", ".bin")
# Where training scripts put the weights inside of what they save.
CONTAINERS = ("state_dict", "model", "model_state_dict")
# What wrappers put before the encoder's own names; manyhot's bundles say "encoder.".
PREFIXES = ("", "encoder.", "model.encoder.", "module.", "model.", "backbone.")
SHOWN = 3
# What torch.load raises on files that are cut off or overwritten: its unpickler follows whatever bytes it finds.
DAMAGE = (AttributeError, EOFError, IndexError, KeyError, OSError, RuntimeError, TypeError, ValueError, struct.error)

Weights = dict[str, Tensor]


def read_weights(path: Path) -> Weights:
    """Return the tensors of a `.safetensors` file, or of a torch file that holds tensors only, on the CPU.

    Raises:
        ModelError: If the file is missing, damaged, of another kind, or would run code when loaded.
    """
    if not path.is_file():
        raise ModelError(f"{path}: there is no such weights file; give a .safetensors or .pt file, auto, or none")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix in TORCH_SUFFIXES:
        return _read_torch(path)
    raise ModelError(f"{path}: weights are read from .safetensors, {', '.join(TORCH_SUFFIXES)}, not {path.suffix!r}")


def _read_safetensors(path: Path) -> Weights:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: cannot be read as safetensors ({_first_line(error)}); fetch it again") from error


def load_without_code(path: Path) -> object:
    """Return what `torch.save` wrote, on the CPU, if it holds tensors and plain values only.

    Raises:
        ModelError: If the file is damaged, or would run code when loaded.
    """
    try:
        with warnings.catch_warnings():
            # On bytes that are no pickle torch first doubts their version; the error that follows says enough.
            warnings.filterwarnings("ignore", "Detected pickle protocol")
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise ModelError(
            f"{path}: is damaged, or holds more than tensors, and loading it could run code; "
            "save a state_dict() alone, best as .safetensors"
        ) from error
    except DAMAGE as error:
        reason = _first_line(error) or type(error).__name__
        raise ModelError(f"{path}: is damaged, it cannot be read as a torch file ({reason}); fetch it again") from error


def _read_torch(path: Path) -> Weights:
    loaded = load_without_code(path)
    for container in CONTAINERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(container), Mapping):
            loaded = loaded[container]
    tensors = {str(key): value for key, value in loaded.items()} if isinstance(loaded, Mapping) else {}
    weights = {key: value for key, value in tensors.items() if isinstance(value, Tensor)}
    if not weights or len(weights) < len(tensors):
        raise ModelError(f"{path}: is no table of tensors by name; save a module's state_dict()")
    return weights


def fit_to_encoder(weights: Weights, encoder: nn.Module, *, classifiers: Collection[str] = ()) -> Weights:
    """Return those of the weights that belong to the encoder, under its names; every tensor of the encoder is there.

    Names may carry a wrapper's prefix (`encoder.`, `module.`, …). A classifier's tensors are left out. Weights that
    another version of the encoder or another image size shaped are converted as timm converts them.

    Args:
        weights: Tensors by name.
        encoder: A timm encoder; not changed.
        classifiers: Names of the modules that classify, without which the encoder was built.

    Raises:
        ModelError: If tensors are missing, unknown, of another shape, or not finite.
    """
    wanted = encoder.state_dict()
    prefix = max(PREFIXES, key=lambda prefix: sum(prefix + key in weights for key in wanted))
    found = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    found = _without_classifiers(found, wanted, classifiers)
    if not _matches(found, wanted):
        found = _without_classifiers(_converted(found, encoder), wanted, classifiers)
    _check_names(found, wanted)
    _check_tensors(found, wanted)
    return found


def _without_classifiers(found: Weights, wanted: Weights, classifiers: Collection[str]) -> Weights:
    prefixes = tuple(f"{name}." for name in classifiers)
    return {key: value for key, value in found.items() if key in wanted or not key.startswith(prefixes)}


def _matches(found: Weights, wanted: Weights) -> bool:
    return found.keys() == wanted.keys() and all(found[key].shape == wanted[key].shape for key in wanted)


def _converted(found: Weights, encoder: nn.Module) -> Weights:
    """Return the weights as timm's own converter for this family of encoders leaves them; unchanged without one."""
    module = sys.modules[type(encoder).__module__]
    convert: Callable[..., object] | None = getattr(module, "checkpoint_filter_fn", None)
    if convert is None:
        return found
    arguments = (dict(found), encoder) if len(inspect.signature(convert).parameters) > 1 else (dict(found),)
    try:
        converted = convert(*arguments)
    except (AssertionError, AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError):
        # A converter expects its own family's names; the check of the names says better what is wrong with others.
        return found
    if not isinstance(converted, Mapping):
        return found
    return {str(key): value for key, value in converted.items() if isinstance(value, Tensor)}


def _check_names(found: Weights, wanted: Weights) -> None:
    # torch itself fills in the counters of batches, which files of before 2018 lack.
    missing = [key for key in wanted if key not in found and not key.endswith("num_batches_tracked")]
    unknown = [key for key in found if key not in wanted]
    faults = [
        f"{len(keys):,} {what} ({_some(keys)})" for keys, what in ((missing, "missing"), (unknown, "unknown")) if keys
    ]
    if faults:
        raise ModelError(f"of {len(wanted):,} tensors {' and '.join(faults)}; is it for another encoder?")


def _check_tensors(found: Weights, wanted: Weights) -> None:
    for key, value in found.items():
        if value.shape != wanted[key].shape:
            raise ModelError(f"tensor {key!r} has shape {tuple(value.shape)}, not {tuple(wanted[key].shape)}")
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise ModelError(f"tensor {key!r} holds values that are not finite; the training that made it had failed")


def _some(keys: list[str]) -> str:
    more = "" if len(keys) <= SHOWN else ", …"
    return ", ".join(keys[:SHOWN]) + more


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
