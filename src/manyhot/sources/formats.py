"""All formats, in the order in which a path is tried against them."""

from pathlib import Path

from manyhot.errors import did_you_mean, quote
from manyhot.sources.chests import is_chexpert, is_nih, read_chexpert, read_nih
from manyhot.sources.coco import is_coco, read_coco
from manyhot.sources.extreme import is_extreme, read_extreme, read_extreme_blocks
from manyhot.sources.finding import FindingLog
from manyhot.sources.format import Format, suffix_of
from manyhot.sources.hugging_face import is_hugging_face, read_hugging_face
from manyhot.sources.id_lists import is_id_lists, read_id_lists
from manyhot.sources.label_store import is_label_store, read_label_store
from manyhot.sources.labels_json import read_labels_json
from manyhot.sources.line_blocks import report_if_unreadable
from manyhot.sources.mulan import is_mulan, read_mulan
from manyhot.sources.open_images import is_open_images, read_open_images
from manyhot.sources.pack_files import is_pack
from manyhot.sources.packs import read_pack
from manyhot.sources.pickles import is_pickle, read_pickle
from manyhot.sources.table_blocks import read_table_blocks
from manyhot.sources.table_files import TABLE_FILES, read_table_file
from manyhot.sources.tencent import is_tencent, read_tencent, read_tencent_blocks
from manyhot.sources.voc import is_voc, read_voc
from manyhot.sources.webdataset import is_webdataset, read_webdataset
from manyhot.sources.yolo import is_yolo, read_yolo

FORMATS: tuple[Format, ...] = (
    Format(name="label-store", looks_like="a label store", matches=is_label_store, read=read_label_store),
    Format(name="pack", looks_like="a pack of pictures", matches=is_pack, read=read_pack),
    Format(
        name="open-images",
        looks_like="Open Images CSV (ImageID, LabelName, Confidence)",
        matches=is_open_images,
        read=read_open_images,
    ),
    Format(name="nih", looks_like="the NIH's chest table (Image Index, Finding Labels)", matches=is_nih, read=read_nih),
    Format(name="chexpert", looks_like="CheXpert's table (Path, Sex, Age, …)", matches=is_chexpert, read=read_chexpert),
    Format(name="coco", looks_like="COCO JSON (images, annotations, categories)", matches=is_coco, read=read_coco),
    Format(name="id-lists", looks_like="JSON [[number, …], …]", matches=is_id_lists, read=read_id_lists),
    Format(name="mulan", looks_like="ARFF with an XML of label names", matches=is_mulan, read=read_mulan),
    Format(
        name="extreme",
        looks_like="extreme-classification text",
        matches=is_extreme,
        read=read_extreme,
        read_blocks=read_extreme_blocks,
    ),
    Format(
        name="tencent",
        looks_like="rows 'address id:confidence'",
        matches=is_tencent,
        read=read_tencent,
        read_blocks=read_tencent_blocks,
    ),
    Format(name="voc", looks_like="a folder with Pascal VOC XML", matches=is_voc, read=read_voc),
    Format(
        name="hugging-face",
        looks_like="Hugging Face: metadata.jsonl (.csv, .parquet), Parquet shards or a saved data set",
        matches=is_hugging_face,
        read=read_hugging_face,
    ),
    Format(name="yolo", looks_like="a folder with YOLO text files, or its data.yaml", matches=is_yolo, read=read_yolo),
    Format(name="webdataset", looks_like="WebDataset (.tar)", matches=is_webdataset, read=read_webdataset),
    Format(name="pickle", looks_like="a trusted pickle (.pkl)", matches=is_pickle, read=read_pickle),
    # Those that any file of their kind could be come last.
    Format(
        name="labels-json",
        looks_like="JSON {name: [label, …]}",
        matches=lambda path: path.is_file() and suffix_of(path) == ".json",
        read=read_labels_json,
    ),
    Format(
        name="table",
        looks_like="a table (.csv, .tsv, .parquet, .jsonl)",
        matches=lambda path: path.is_file() and suffix_of(path) in TABLE_FILES,
        read=read_table_file,
        read_blocks=read_table_blocks,
    ),
)
"""The formats; a folder that is of none is read by its folders' names."""


def find_format(path: Path, name: str | None, findings: FindingLog) -> Format | None:
    """Return the format of a file or folder, or None: for a file, or an unknown name, with an error in the findings."""
    if name is not None:
        named = next((known for known in FORMATS if known.name == name), None)
        if named is None:
            names = [known.name for known in FORMATS]
            findings.error(
                "unknown-format",
                f"format {quote(name)} is not known{did_you_mean(name, names)}; choose one of {', '.join(names)}",
            )
        return named
    found = next((known for known in FORMATS if known.matches(path)), None)
    if found is None and path.is_file() and not report_if_unreadable(path, findings):
        kinds = "; ".join(known.looks_like for known in FORMATS)
        findings.error("unknown-format", f"{path}: its kind is not known; label files are {kinds}")
    return found
