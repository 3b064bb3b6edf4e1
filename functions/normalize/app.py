"""The fourth stage: bring the brain's intensities to one scale and write what the user gets."""

from dataclasses import replace

from neuro_preprocess.derivatives import brain_files, dataset_files
from neuro_preprocess.normalize import normalize
from pipeline.run import Run
from pipeline.stage import stage_handler


def process(run: Run) -> None:
    """Load corrected head and mask, normalise, store the derivatives and then the record that triggers the report."""
    scan, settings = run.scan, run.settings
    with run.loading():
        head = run.load_trigger()
        mask = run.load_output("skull_strip").data > 0
    with run.processing("normalization"):
        # T2w has no class that is white matter alone, so only the z-score is defined on it
        method = settings.normalization if scan.contrast == "T1w" else "zscore"
        normalized = normalize(head.data, mask, method=method, contrast=scan.contrast)
    with run.writing():
        brain = replace(head, data=normalized.volume)
        files = brain_files(
            scan.name,
            brain,
            mask,
            normalized.parameters,
            facts=scan.facts,
            head=head if settings.write_head else None,
        )
        run.store_shared(dataset_files(raw_uri=f"s3://{scan.bucket}/"))
        for file in files:
            run.store_derivative(file.path, file.content, file.content_type)
        run.store_record()


handler = stage_handler("normalize", process)
