"""The second stage: find the brain in the conformed head, with the self-checks that say how far to trust it."""

from dataclasses import replace

from neuro_preprocess.facts import skull_strip_facts
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
    run.scan.facts["skull_strip"] = skull_strip_facts(brain)
    with run.writing():
        run.store_image(replace(head, data=brain.mask))


handler = stage_handler("skull_strip", process)
