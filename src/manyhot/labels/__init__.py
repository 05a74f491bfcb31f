"""Label spaces, label sets, their statistics and splits. NumPy only: loads without torch."""

from manyhot.labels.csr import Csr
from manyhot.labels.sets import LabelSets, LabelSource
from manyhot.labels.space import LabelSpace

__all__ = ["Csr", "LabelSets", "LabelSource", "LabelSpace"]
