"""The third stage: take the slow intensity drift of the coil out of the head."""

from dataclasses import replace

from neuro_preprocess.bias_correct import bias_correct
from neuro_preprocess.facts import bias_correct_facts
from pipeline.run import Run
from pipeline.stage import stage_handler


def process(run: Run) -> None:
    """Load head and mask, estimate the field in the brain, store the corrected head."""
    with run.loading():
        mask = run.load_trigger().data > 0
        head = run.load_output("conform")
    with run.processing("bias_correction"):
        corrected = bias_correct(head.data, mask, head.voxel_size_mm, contrast=run.scan.contrast)
    run.scan.facts["bias_correct"] = bias_correct_facts(corrected)
    with run.writing():
        run.store_image(replace(head, data=corrected.volume))


handler = stage_handler("bias_correct", process)
