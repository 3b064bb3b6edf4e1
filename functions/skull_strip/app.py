"""The second stage: find the brain in the conformed head, with the self-checks that say how far to trust it."""

from dataclasses import asdict, replace

from neuro_preprocess.skull_strip import skull_strip
from pipeline.run import Run
from pipeline.stage import stage_handler


def process(run: Run) -> None:
    """Load the head, find the brain, store its mask."""
    with run.loading():
        head = run.load_trigger()
    with run.processing("skull_strip"):
        brain = skull_strip(
            head.data, head.voxel_size_mm, contrast=run.scan.contrast, fraction=run.settings.brain_fraction
        )
    run.scan.facts["skull_strip"] = {
        "brain_volume_ml": brain.volume_ml,
        "fraction": brain.fraction,
        "is_low_confidence": brain.is_low_confidence,
        "checks": [asdict(check) for check in brain.checks],
    }
    with run.writing():
        run.store_image(replace(head, data=brain.mask))


handler = stage_handler("skull_strip", process)
