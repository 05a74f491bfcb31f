"""Files, folders and tables become manifests: samples and their labels. Loads without torch."""

from manyhot.sources.features import Features
from manyhot.sources.finding import Finding, FindingLog, Severity
from manyhot.sources.formats import FORMATS
from manyhot.sources.inputs import list_pictures, open_pictures
from manyhot.sources.manifest import SPLITS, Manifest, Split
from manyhot.sources.opening import Reading, open_source, read_source
from manyhot.sources.options import SourceOptions
from manyhot.sources.packs import PackedImages
from manyhot.sources.pickles import read_trusted_pickle
from manyhot.sources.scanning import FolderScan, scan_folder
from manyhot.sources.shards import read_embedded_picture

__all__ = [
    "FORMATS",
    "SPLITS",
    "Features",
    "Finding",
    "FindingLog",
    "FolderScan",
    "Manifest",
    "PackedImages",
    "Reading",
    "Severity",
    "SourceOptions",
    "Split",
    "list_pictures",
    "open_pictures",
    "open_source",
    "read_embedded_picture",
    "read_source",
    "read_trusted_pickle",
    "scan_folder",
]
