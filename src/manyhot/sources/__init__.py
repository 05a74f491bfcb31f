"""Files, folders and tables become manifests: samples and their labels. Loads without torch."""

from manyhot.sources.finding import Finding, FindingLog
from manyhot.sources.manifest import SPLITS, Manifest, Split

__all__ = ["SPLITS", "Finding", "FindingLog", "Manifest", "Split"]
