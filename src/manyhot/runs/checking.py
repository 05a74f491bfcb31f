"""Check: everything that is wrong or risky in data or in a run, found in one go."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from tqdm import tqdm

from manyhot.config import DataConfig
from manyhot.errors import BundleError, ManyhotError, RunError
from manyhot.runs.facts import DataFacts, describe_data
from manyhot.runs.options import source_options
from manyhot.sources import Manifest, Reading, read_source
from manyhot.sources.finding import MAX_EXAMPLES, Finding
from manyhot.sources.label_store import check_label_store, is_label_store
from manyhot.sources.packs import check_pack

if TYPE_CHECKING:
    from manyhot.runs.run import Run
    from manyhot.runs.splits import Splits


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """What a check found.

    Args:
        findings: Faults, risks and facts worth knowing.
        facts: What the data are like; None where they could not be read.
    """

    findings: tuple[Finding, ...]
    facts: DataFacts | None

    @property
    def has_errors(self) -> bool:
        """Whether something is wrong, and not only risky."""
        return any(finding.severity == "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data for JSON; `facts` is null where the data could not be read."""
        return {
            "schema": 1,
            "facts": None if self.facts is None else asdict(self.facts),
            "findings": [asdict(finding) for finding in self.findings],
        }


def check_data(path: Path, config: DataConfig | None = None) -> CheckReport:
    """Return what is wrong or risky in data; opens every picture. Long work shows a bar on a terminal.

    Args:
        path: A folder, a label file or a label store.
        config: How to read it.
    """
    return check_data_sets([path], config or DataConfig())


def check_data_sets(paths: Sequence[Path], config: DataConfig) -> CheckReport:
    """Return what is wrong or risky in each of some data sets, and in all of them as one training would see them.

    Pictures that are the same to the byte are looked for in all of them together.

    Args:
        paths: Folders, label files or label stores.
        config: How to read them, and how their labels are linked.

    >>> [finding.line for finding in check_data_sets([Path("nowhere"), Path("elsewhere")], DataConfig()).findings]
    ['nowhere: there is no such file or folder; check the path', 'elsewhere: there is no such file or folder; ...']
    """
    readings = [read_source(path, source_options(config)) for path in paths]
    whole, unjoined = _joined(paths, readings, config)
    report = _check_readings(paths, readings, whole)
    return replace(report, findings=(*unjoined, *report.findings))


def _check_readings(
    paths: Sequence[Path], readings: Sequence[Reading], whole: Manifest | None, splits: "Splits | None" = None
) -> CheckReport:
    """Return what is wrong in data sets.

    Args:
        paths: Where they are.
        readings: What was read.
        whole: The samples of all of them; None where they do not go together.
        splits: Of the whole; what the data state if None.
    """
    reports = [_check_reading(path, reading) for path, reading in zip(paths, readings, strict=True)]
    sound = [reading.manifest for reading, report in zip(readings, reports, strict=True) if report.facts is not None]
    if len(sound) < len(reports):
        whole = None
    if whole is None:
        leaks = [_check_leaks(manifest, None) for manifest in sound if manifest is not None]
    else:
        leaks = [_check_leaks(whole, splits)]
    facts = reports[0].facts
    if len(reports) > 1:
        facts = None if whole is None else describe_data(whole)
    found = [*(report.findings for report in reports), *leaks]
    return CheckReport(findings=tuple(chain.from_iterable(found)), facts=facts)


def _check_reading(path: Path, reading: Reading) -> CheckReport:
    manifest = reading.manifest
    if manifest is None:
        return CheckReport(findings=reading.findings, facts=None)
    is_store = is_label_store(path)
    if is_store:
        with _bar("reading the store") as bar:
            bar.total = manifest.num_samples
            damage = check_label_store(path, progress=bar.update)
        if damage:
            # Damaged labels cannot be counted.
            return CheckReport(findings=(*reading.findings, *damage), facts=None)
    with _bar("reading the shards", unit=" shards") as bar:
        damage = check_pack(path, progress=partial(_show, bar))
    if damage:
        return CheckReport(findings=(*reading.findings, *damage), facts=None)
    manifest = _within_reach(manifest)
    findings = [*reading.findings, *_check_manifest(manifest)]
    if is_store and manifest.has_pictures:
        from manyhot.data.checking_pictures import check_unlisted

        findings += check_unlisted(manifest)
    return CheckReport(findings=tuple(findings), facts=describe_data(manifest))


def _check_manifest(manifest: Manifest) -> list[Finding]:
    # The decoders are loaded only once there is something to open.
    from manyhot.data.checking_labels import check_labels
    from manyhot.data.checking_pictures import check_images
    from manyhot.data.checking_shift import check_shift

    findings = [*check_labels(manifest), *check_shift(manifest)]
    if manifest.has_pictures:
        with _bar("opening pictures") as bar:
            findings += check_images(manifest, progress=partial(_show, bar))
    return findings


def _check_leaks(manifest: Manifest, splits: "Splits | None") -> list[Finding]:
    from manyhot.data.checking_leaks import check_leaks

    with _bar("comparing pictures") as bar:
        codes = None if splits is None else splits.codes
        return check_leaks(_within_reach(manifest), splits=codes, progress=partial(_show, bar))


def _within_reach(manifest: Manifest) -> Manifest:
    """Return a manifest without pictures if their folder is not there: one finding says so, not one for each picture."""
    if manifest.has_pictures and not manifest.root.is_dir():
        return replace(manifest, has_pictures=False)
    return manifest


def _bar(task: str, unit: str = " samples") -> "tqdm[NoReturn]":
    # Nothing to show before the first call: many checks are over at once.
    return tqdm(desc=task, unit=unit, disable=None, delay=0.5, leave=False)


def _show(bar: "tqdm[NoReturn]", done: int, total: int) -> None:
    bar.total = total
    bar.update(done - bar.n)


def check_run(folder: Path) -> CheckReport:
    """Return what is wrong with a run or a bundle: changed files, changed data, an unfinished training, the usual mistakes.

    The data are checked too, where they are still in their place, and leaks are looked for between the splits of the run.

    Raises:
        RunError: If the folder is neither a run nor a bundle.
    """
    from manyhot.runs.diagnosing import diagnose_run
    from manyhot.runs.run import Run

    run = Run(folder)
    findings = _check_bundle(run)
    if run.is_bundle:
        return CheckReport(findings=tuple(findings), facts=None)
    paths = [Path(path) for path in run.recipe.data.paths]
    gone = [_missing_data(path) for path in paths if not path.exists()]
    if gone:
        return CheckReport(findings=(*findings, *gone, *diagnose_run(run, None, None)), facts=None)
    readings = [read_source(path, source_options(run.recipe.data)) for path in paths]
    manifest, unjoined = _joined(paths, readings, run.recipe.data)
    splits, changed = (None, []) if manifest is None else _check_splits(run, paths, manifest)
    labels = None if manifest is None or splits is None else manifest.labels
    diagnosis = diagnose_run(run, labels, splits)
    report = _check_readings(paths, readings, manifest, splits)
    return replace(report, findings=(*findings, *unjoined, *changed, *diagnosis, *report.findings))


def _missing_data(path: Path) -> Finding:
    message = f"{path}: the data that the run was trained on are not there; put them back to evaluate the run"
    return Finding(name="missing-data", severity="warning", message=message)


def _joined(
    paths: Sequence[Path], readings: Sequence[Reading], config: DataConfig
) -> tuple[Manifest | None, list[Finding]]:
    """Return the samples of all data sets, None where one cannot be read, and why they do not go together."""
    if len(readings) == 1:
        return readings[0].manifest, []
    manifests = [reading.manifest for reading in readings if reading.manifest is not None and not reading.errors]
    if len(manifests) < len(readings):
        return None, []
    from manyhot.runs.data_sets import align_data_sets, joined

    try:
        return joined([one.aligned() for one in align_data_sets(paths, manifests, config.mapping or {})]), []
    except ManyhotError as error:
        return None, [Finding(name="unjoined-data", severity="error", message=str(error))]


def _check_bundle(run: "Run") -> list[Finding]:
    if not run.is_bundle and not run.is_finished:
        message = f"{run.folder}: the training did not end; go on with manyhot train --out {run.folder} --resume"
        return [Finding(name="unfinished-run", severity="warning", message=message)]
    try:
        _ = run.bundle
    except (BundleError, RunError) as error:
        return [Finding(name="damaged-bundle", severity="error", message=str(error))]
    return []


def _check_splits(run: "Run", paths: Sequence[Path], manifest: Manifest) -> tuple["Splits | None", list[Finding]]:
    """Return the splits of a run, None where they are not of the data as they are, and then what has changed."""
    from manyhot.runs.splits import changed_pictures, describe_changed, load_splits

    try:
        saved = load_splits(run.folder)
    except RunError as error:
        return None, [Finding(name="damaged-splits", severity="error", message=str(error))]
    if manifest.fingerprint != saved.splits.fingerprint:
        message = f"{', '.join(map(str, paths))}: the data have changed since the run; its splits no longer fit, so train again"
        return None, [Finding(name="changed-data", severity="error", message=message)]
    changed = changed_pictures(saved, manifest, np.arange(manifest.num_samples))
    if not changed:
        return saved.splits, []
    finding = Finding(
        name="changed-data",
        severity="error",
        message=describe_changed(changed),
        count=len(changed),
        examples=tuple(map(repr, changed[:MAX_EXAMPLES])),
    )
    return None, [finding]
