"""CPU and memory of each stage of the science, against a fixed numpy job in the same run and against other programs.

    python benchmarks/stages.py                 # all stages on two scans, 5 rounds
    python benchmarks/stages.py --rounds 3 --scan large
    pip install SimpleITK brainextractor        # in the same environment, to see those compared as well

Each measurement is a process of its own with one thread, which runs the fixed job, the stage, and the fixed job again;
the processes of one round follow each other. Printed are medians of CPU seconds with their range, the median ratio to
the fixed job, and the highest resident memory. The scans are made from Colin27 where the Debian package `mricron-data`
is installed, else from the phantom.
"""

import argparse
import importlib.util
import io
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from neuro_preprocess.bias_correct import bias_correct
from neuro_preprocess.conform import conform
from neuro_preprocess.image import Image, Mask, Volume
from neuro_preprocess.nifti import NiftiReader, encode_nifti
from neuro_preprocess.normalize import normalize
from neuro_preprocess.phantom import add_rician_noise, head_phantom
from neuro_preprocess.quality import measure_quality
from neuro_preprocess.report.mosaic import render_mosaic
from neuro_preprocess.report.png import encode_png
from neuro_preprocess.skull_strip import skull_strip

COLIN27 = Path("/usr/share/mricron/templates/ch2.nii.gz")
SCANS = {
    "head": ("1 mm head", (181, 217, 181), (1.0, 1.0, 1.0)),
    "large": ("256x256x176 at 0.94x0.94x1.1 mm", (256, 256, 176), (0.94, 0.94, 1.1)),
}
# CPU of the first numpy prototypes of these stages, in units of the fixed job, measured with this program's own job on
# the machine on which it was written (x86_64, numpy 2.2, scipy 1.16, OpenBLAS).
PROTOTYPE = {
    ("head", "skull_strip"): 6.9,
    ("head", "bias_correct"): 4.5,
    ("head", "whole chain"): 14.5,
    ("large", "skull_strip"): 6.2,
    ("large", "bias_correct"): 6.7,
    ("large", "whole chain"): 20.9,
}
BARS = {"skull_strip": 1.39, "bias_correct": 1.0, "whole chain": 1.2}
MEMORY_BAR_MB = 700
SIMPLEITK_BAR = 1 / 3


def fixed_job() -> None:
    """About a quarter of a second of what the stages are made of: products, sorting, gathering, filters, functions."""
    rng = np.random.default_rng(0)
    # Small, so that the peak of memory is the stage's.
    volume = rng.random((100, 100, 100), dtype=np.float32)
    weights = rng.random((100, 100), dtype=np.float32)
    for _ in range(18):
        np.exp(np.log(volume + 1) * np.float32(0.5)) @ weights
        np.sort(volume[:30].ravel())
        volume.ravel()[rng.integers(0, volume.size, 300_000)].sum()
        ndimage.uniform_filter(volume, 3)


@dataclass(frozen=True)
class Inputs:
    """What the stages take, written once and read by each process."""

    folder: Path

    def scan(self) -> bytes:
        return (self.folder / "scan.nii.gz").read_bytes()

    def image(self, name: str) -> Image:
        return NiftiReader(io.BytesIO((self.folder / f"{name}.nii").read_bytes())).read().image

    def mask(self) -> Mask:
        return np.asfortranarray(self.image("mask").data > 0)


# A measurement: given the inputs, load what is needed and return what is to be timed.
Measured = Callable[[Inputs], Callable[[], object]]


def read(inputs: Inputs) -> Callable[[], object]:
    content = inputs.scan()
    return lambda: NiftiReader(io.BytesIO(content)).read()


def conformed(inputs: Inputs) -> Callable[[], object]:
    image = NiftiReader(io.BytesIO(inputs.scan())).read().image
    return lambda: conform(image)


def stripped(inputs: Inputs) -> Callable[[], object]:
    head = inputs.image("conformed")
    return lambda: skull_strip(head.data, head.voxel_size_mm)


def corrected(inputs: Inputs) -> Callable[[], object]:
    head, mask = inputs.image("conformed"), inputs.mask()
    return lambda: bias_correct(head.data, mask, head.voxel_size_mm)


def normalized(inputs: Inputs) -> Callable[[], object]:
    head, mask = inputs.image("corrected"), inputs.mask()
    return lambda: normalize(head.data, mask)


def reported(inputs: Inputs) -> Callable[[], object]:
    head, flat, mask = inputs.image("conformed"), inputs.image("corrected"), inputs.mask()
    return lambda: report(head, flat.data, mask)


def report(head: Image, flat: Volume, mask: Mask) -> bytes:
    measure_quality(head.data, flat, mask, head.voxel_size_mm)
    return encode_png(render_mosaic(head.data, flat, mask, head.voxel_size_mm))


def encoded(inputs: Inputs) -> Callable[[], object]:
    head, flat, mask = inputs.image("conformed"), inputs.image("corrected"), inputs.mask()
    brain = normalize(flat.data, mask).volume
    volumes = [Image(data, head.affine) for data in (head.data, flat.data, brain, mask)]
    return lambda: [encode_nifti(volume) for volume in volumes]


def whole_chain(inputs: Inputs) -> Callable[[], object]:
    """A scan's bytes to four volumes and the mosaic, in one process with everything kept."""

    def run() -> object:
        head = conform(NiftiReader(io.BytesIO(inputs.scan())).read().image).image
        mask = skull_strip(head.data, head.voxel_size_mm).mask
        flat = bias_correct(head.data, mask, head.voxel_size_mm).volume
        brain = normalize(flat, mask).volume
        picture = report(head, flat, mask)
        return picture, [encode_nifti(Image(data, head.affine)) for data in (head.data, flat, brain, mask)]

    return run


def simpleitk_n4(inputs: Inputs) -> Callable[[], object]:
    import SimpleITK as sitk  # noqa: N813

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    head, mask = (
        sitk.GetImageFromArray(array.T) for array in (inputs.image("conformed").data, inputs.mask().astype(np.uint8))
    )

    def run() -> object:
        n4 = sitk.N4BiasFieldCorrectionImageFilter()
        n4.SetMaximumNumberOfIterations([50] * 4)
        n4.Execute(sitk.Shrink(head, [4] * 3), sitk.Shrink(mask, [4] * 3))
        return head / sitk.Exp(n4.GetLogBiasFieldAsImage(head))

    return run


def plain_bet(inputs: Inputs) -> Callable[[], object]:
    import nibabel
    from brainextractor import BrainExtractor

    head = inputs.image("conformed")
    extractor = BrainExtractor(nibabel.Nifti1Image(np.asarray(head.data), head.affine))
    return extractor.run


STAGES: dict[str, Measured] = {
    "read": read,
    "conform": conformed,
    "skull_strip": stripped,
    "bias_correct": corrected,
    "normalize": normalized,
    "quality, mosaic, PNG": reported,
    "encode four volumes": encoded,
    "whole chain": whole_chain,
}
# Name of the measurement, the package that it needs, and the stage that it is compared with.
OTHERS: dict[str, tuple[Measured, str, str]] = {
    "SimpleITK N4": (simpleitk_n4, "SimpleITK", "bias_correct"),
    "plain BET (brainextractor)": (plain_bet, "brainextractor", "skull_strip"),
}


def make_scan(shape: tuple[int, int, int], voxel_size_mm: tuple[float, float, float]) -> Image:
    """Scan of whole numbers, as scanners write them, on the grid asked for; its background is noise, not zeros."""
    if not COLIN27.is_file():
        return head_phantom(shape, voxel_size_mm).image
    head = NiftiReader(io.BytesIO(COLIN27.read_bytes())).read().image
    steps = np.divide(voxel_size_mm, head.voxel_size_mm)
    first = (np.array(head.data.shape) - 1) / 2 - steps * (np.array(shape) - 1) / 2
    volume = ndimage.affine_transform(head.data, steps, first, output_shape=shape, order=1)
    noisy = add_rician_noise(np.asfortranarray(volume), 3.0)
    return Image(np.round(noisy * 8).astype(np.float32), np.diag([*voxel_size_mm, 1.0]))


def prepare(folder: Path, scan: str) -> None:
    _, shape, voxel_size_mm = SCANS[scan]
    image = make_scan(shape, voxel_size_mm)
    (folder / "scan.nii.gz").write_bytes(encode_nifti(image))
    head = conform(image).image
    mask = skull_strip(head.data, head.voxel_size_mm).mask
    flat = bias_correct(head.data, mask, head.voxel_size_mm).volume
    for name, data in (("conformed", head.data), ("mask", mask), ("corrected", flat)):
        (folder / f"{name}.nii").write_bytes(encode_nifti(Image(data, head.affine), compress=False))


def measure(name: str, folder: Path) -> None:
    """In a process of its own: print the CPU of the fixed job and of one measurement, and the peak of memory."""
    measured = STAGES[name] if name in STAGES else OTHERS[name][0]
    run = measured(Inputs(folder))
    jobs = [cpu_seconds(fixed_job)]
    seconds = cpu_seconds(run)
    jobs.append(cpu_seconds(fixed_job))
    print(json.dumps({"job": statistics.mean(jobs), "seconds": seconds, "peak_mb": peak_mb()}))


def peak_mb() -> float:
    """Highest resident memory since this program began; `getrusage` would know its parent's as well."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024 / 1e6


def cpu_seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def run_child(name: str, folder: Path) -> dict[str, float]:
    threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMBA", "ITK_GLOBAL_DEFAULT")}
    command = [sys.executable, __file__, "--measure", name, "--folder", str(folder)]
    done = subprocess.run(command, env=os.environ | threads, check=True, capture_output=True, text=True)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def print_table(scan: str, results: dict[str, list[dict[str, float]]]) -> None:
    print(f"\n{SCANS[scan][0]}, {'Colin27' if COLIN27.is_file() else 'phantom'}, {len(results['read'])} rounds")
    print(f"{'':28}{'CPU s':>8}{'range':>16}{'x fixed job':>13}{'peak MB':>9}")
    ratios = {name: median_of(rows, lambda row: row["seconds"] / row["job"]) for name, rows in results.items()}
    for name, rows in results.items():
        seconds = sorted(row["seconds"] for row in rows)
        spread = f"{seconds[0]:.2f}..{seconds[-1]:.2f}"
        highest = max(row["peak_mb"] for row in rows)
        print(f"{name:28}{statistics.median(seconds):8.2f}{spread:>16}{ratios[name]:13.2f}{highest:9.0f}")
    for (of, name), prototype in PROTOTYPE.items():
        if of == scan and COLIN27.is_file():
            print_verdict(f"{name} / its prototype ({prototype:.1f} x the job)", ratios[name] / prototype, BARS[name])
    if scan == "large":
        print_verdict("whole chain, peak MB", max(row["peak_mb"] for row in results["whole chain"]), MEMORY_BAR_MB)
    for name, (_, package, stage) in OTHERS.items():
        if name not in results:
            print(f"not compared with {name}: `pip install {package}` into this environment")
        else:
            bar = SIMPLEITK_BAR if stage == "bias_correct" else math.inf
            print_verdict(f"{stage} / {name}", ratios[stage] / ratios[name], bar)


def median_of(rows: list[dict[str, float]], value: Callable[[dict[str, float]], float]) -> float:
    return statistics.median(value(row) for row in rows)


def print_verdict(what: str, value: float, bar: float) -> None:
    verdict = "" if bar == math.inf else f"   (bar {bar:.3g}: {'held' if value <= bar else 'MISSED'})"
    print(f"{what}: {value:.3g}{verdict}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scan", choices=SCANS, nargs="+", default=list(SCANS))
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        measure(args.measure, args.folder)
        return
    names = [*STAGES, *(name for name, (_, package, _) in OTHERS.items() if importlib.util.find_spec(package))]
    for scan in args.scan:
        with tempfile.TemporaryDirectory() as folder:
            prepare(Path(folder), scan)
            results: dict[str, list[dict[str, float]]] = {name: [] for name in names}
            for _ in range(args.rounds):
                for name in names:
                    results[name].append(run_child(name, Path(folder)))
        print_table(scan, results)


if __name__ == "__main__":
    main()
