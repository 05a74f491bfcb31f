"""Multi-label classification for PyTorch, whole: from six switches to a million labels.

Three levels, each useful alone:

- `run = manyhot.train("data/"); run.predict("a.jpg")`
- Lightning pieces: `manyhot.training.MultiLabelModule`, `manyhot.training.MultiLabelData`
- plain parts that need torch only: `manyhot.losses`, `manyhot.metrics`, `manyhot.labels`, `manyhot.decisions`

Importing manyhot loads nothing heavy: a name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from manyhot.bundle import Bundle, load_bundle
    from manyhot.config import Recipe
    from manyhot.decisions import Decision, fit_decision
    from manyhot.errors import ManyhotError
    from manyhot.labels import LabelSets, LabelSpace
    from manyhot.metrics import Evaluation, evaluate
    from manyhot.runs.fitting import train
    from manyhot.runs.run import Run
    from manyhot.sources import Manifest, open_source
    from manyhot.targets import SparseTargets

__version__ = "0.1.0"

_HOMES = {
    "Bundle": "manyhot.bundle",
    "Decision": "manyhot.decisions",
    "Evaluation": "manyhot.metrics",
    "LabelSets": "manyhot.labels",
    "LabelSpace": "manyhot.labels",
    "Manifest": "manyhot.sources",
    "ManyhotError": "manyhot.errors",
    "Recipe": "manyhot.config",
    "Run": "manyhot.runs.run",
    "SparseTargets": "manyhot.targets",
    "evaluate": "manyhot.metrics",
    "fit_decision": "manyhot.decisions",
    "load_bundle": "manyhot.bundle",
    "open_source": "manyhot.sources",
    "train": "manyhot.runs.fitting",
}

__all__ = [
    "Bundle",
    "Decision",
    "Evaluation",
    "LabelSets",
    "LabelSpace",
    "Manifest",
    "ManyhotError",
    "Recipe",
    "Run",
    "SparseTargets",
    "__version__",
    "evaluate",
    "fit_decision",
    "load_bundle",
    "open_source",
    "train",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'manyhot' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
