"""The last stage: measure the quality, judge it, draw it, and count the scan."""

import math
import time

from neuro_preprocess.derivatives import quality_files, software_versions
from neuro_preprocess.quality import QualityMeasures, measure_quality
from neuro_preprocess.quality.verdict import Verdict, judge
from neuro_preprocess.report.mosaic import render_mosaic
from neuro_preprocess.skull_strip import SelfCheck
from pipeline import keys, telemetry
from pipeline.run import Run
from pipeline.stage import stage_handler
from pipeline.storage import Stored


def process(run: Run) -> None:
    """Load head, corrected head and mask; store the quality report; end the run."""
    scan = run.scan
    with run.loading():
        conformed = run.load_output("conform")
        corrected = run.load_output("bias_correct")
        mask = run.load_output("skull_strip").data > 0
    volumes = (conformed.data, corrected.data, mask, conformed.voxel_size_mm)
    checks = [SelfCheck(**check) for check in scan.facts["skull_strip"]["checks"]]

    with run.processing("quality_control"):
        measures = measure_quality(*volumes, contrast=scan.contrast)
        verdict = judge(measures, checks, scan.notices, contrast=scan.contrast)
        picture = render_mosaic(*volumes, title=f"{scan.name.stem} {scan.contrast}")
    scan.facts["report"] = {"verdict": verdict.status, "reasons": [reason.code for reason in verdict.reasons]}
    run.span.set_attribute("neuro.qc.verdict", verdict.status)

    with run.writing():
        files = quality_files(
            scan.name,
            picture=picture,
            measures=measures,
            verdict=verdict,
            checks=checks,
            notices=scan.notices,
            stage_seconds={stage: scan.seconds[stage] for stage in keys.STAGES if stage in scan.seconds},
            provenance=software_versions() | {"run id": run.id},
        )
        for file in files:
            run.store_derivative(file.path, file.content, file.content_type)
        stored = run.store_record()
    if stored is Stored.NOW:
        _count(run, measures, verdict)


def _count(run: Run, measures: QualityMeasures, verdict: Verdict) -> None:
    """Count the scan at its end: once, by whoever stored its last record."""
    scan, instruments, modality = run.scan, telemetry.instruments(), {"modality": run.scan.contrast}
    telemetry.count_end(scan.contrast, is_failed=False)
    instruments.process_duration.record(sum(scan.seconds.values()), modality)
    instruments.pipeline_duration.record(max(0.0, time.time() - scan.uploaded_at), modality)
    instruments.qc_verdicts.add(1, modality | {"verdict": verdict.status})
    instruments.qc_brain_volume.set(measures.brain_volume_ml, modality)
    if math.isfinite(measures.snr_wm):
        instruments.qc_snr.set(measures.snr_wm, modality)
    if math.isfinite(measures.cnr):
        instruments.qc_cnr.set(measures.cnr, modality)


handler = stage_handler("report", process)
