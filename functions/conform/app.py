"""The first stage: read an upload within bounds, refuse what is no scan, bring the rest into one shape."""

from neuro_preprocess.conform import conform, plan_conform
from neuro_preprocess.facts import conform_facts
from pipeline import telemetry
from pipeline.run import Run
from pipeline.stage import stage_handler


def process(run: Run) -> None:
    """Read the upload, conform it, store the head."""
    voxel_size_mm = run.settings.voxel_size_mm
    run.scan.size_bytes = run.upload_bytes
    with run.loading() as load:
        with run.validating():
            reader = run.open_upload()
            header = reader.header
            plan = plan_conform(header.shape, header.affine, voxel_size_mm=voxel_size_mm)
            run.check_fits(plan)
        source = reader.read()
        load.span.set_attributes({"image.shape": header.shape, "image.dtype": header.dtype.name})

    with run.processing("conform"):
        conformed = conform(source.image, voxel_size_mm=voxel_size_mm)

    run.scan.notices.extend((*run.scan.name.notices, *source.notices, *conformed.notices))
    run.scan.facts["conform"] = conform_facts(header, source, conformed)
    telemetry.instruments().file_size.record(run.scan.size_bytes, {"modality": run.scan.contrast})
    telemetry.instruments().voxels_processed.record(conformed.image.data.size, run.labels)
    with run.writing():
        run.store_image(conformed.image)


handler = stage_handler("conform", process)
