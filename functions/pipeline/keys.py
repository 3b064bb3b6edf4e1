"""Where every object lies and why. No other file spells a key.

<raw>/any/key                            what a user uploads
<work>/<stage>/<run id>.json             what is known of the scan after that stage (`ScanRecord`)
<work>/conform/<run id>.nii.gz           the head, RAS, isotropic            -> triggers skull_strip
<work>/skull_strip/<run id>_mask.nii.gz  the brain mask                      -> triggers bias_correct
<work>/bias_correct/<run id>.nii.gz      the head without its bias field     -> triggers normalize
<work>/normalize/<run id>.json           the record, once derivatives stand  -> triggers report
<work>/report/<run id>.json              the record at the scan's end
<derivatives>/sub-.../                   what a user gets (names: `neuro_preprocess.bids`)
<derivatives>/errors/<run id>.error.json    why a scan was refused
<derivatives>/errors/<run id>.failure.json  what failed, after all retries
"""

import hashlib
import re
from typing import Literal, get_args

from neuro_preprocess.bids import BidsName
from pipeline.events import S3Object

StageName = Literal["conform", "skull_strip", "bias_correct", "normalize", "report"]
STAGES: tuple[StageName, ...] = get_args(StageName)

_OUTPUTS: dict[StageName, str] = {
    "conform": "conform/{run_id}.nii.gz",
    "skull_strip": "skull_strip/{run_id}_mask.nii.gz",
    "bias_correct": "bias_correct/{run_id}.nii.gz",
    "normalize": "normalize/{run_id}.json",
    "report": "report/{run_id}.json",
}
_DERIVED_KEY = re.compile(
    r"errors/[0-9a-f]{24}\.(?:error|failure)\.json|dataset_description\.json|README|\.bidsignore"
    r"|sub-[0-9a-zA-Z+]+/(?:ses-[0-9a-zA-Z+]+/)?(?:anat|figures)/sub-[0-9a-zA-Z+_-]+_desc-[0-9a-zA-Z]+_[0-9a-zA-Z]+\.[a-z.]+"
)
_WORK_KEY = re.compile(r"(?P<stage>[a-z_]+)/(?P<run_id>[0-9a-f]{24})[._]")


def run_id(source: S3Object) -> str:
    """Name of one run: the same for every delivery of one upload's event, another for every other upload.

    Returns
    -------
    str
        24 hexadecimal digits.
    """
    identity = (source.bucket, source.key, source.version_id or source.sequencer or source.etag, source.replay)
    return hashlib.sha256("\0".join(identity).encode(errors="surrogatepass")).hexdigest()[:24]


def run_order(source: S3Object) -> str:
    """Text that sorts the runs of one scan by age, and no two alike.

    S3 says of sequencers: pad the shorter one with zeros on the right, then compare as text. They begin with the
    seconds since 1970, ten hexadecimal digits; an event without one is placed by its time.
    """
    sequencer = source.sequencer.upper() or f"{int(source.created_at.timestamp()):010X}"
    return f"{sequencer:0<32}+{source.replay}+{run_id(source)}"


def stage_for(source: S3Object, work_bucket: str) -> StageName | None:
    """The stage that processes an object: the one after the stage that wrote it, the first for an upload, else None."""
    parsed = parse_work_key(source.key) if source.bucket == work_bucket else None
    following = 0 if parsed is None else STAGES.index(parsed[0]) + 1
    return STAGES[following] if following < len(STAGES) else None


def output_key(stage: StageName, run: str) -> str:
    """Key in the work bucket of what a stage writes last, and what triggers the next one."""
    return _OUTPUTS[stage].format(run_id=run)


def record_key(stage: StageName, run: str) -> str:
    """Key in the work bucket of the `ScanRecord` as a stage leaves it."""
    return f"{stage}/{run}.json"


def parse_work_key(key: str) -> tuple[StageName, str] | None:
    """The stage that wrote a work object and its run, or None for a key that is no work object's."""
    match = _WORK_KEY.match(key)
    if match is None:
        return None
    for stage in STAGES:
        if stage == match["stage"]:
            return stage, match["run_id"]
    return None


def error_key(run: str) -> str:
    """Key in the derivatives bucket of the file that says why a scan was refused."""
    return f"errors/{run}.error.json"


def failure_key(run: str) -> str:
    """Key in the derivatives bucket of the file that says what failed after all retries."""
    return f"errors/{run}.failure.json"


def telemetry_key(key: str) -> str:
    """A key as logs, spans and messages may show it.

    Valid BIDS names are pseudonyms and stand as they are, and so do the keys that we make; of any other key, which may
    well be a patient's name, there is only the hash.
    """
    if BidsName.parse(key).is_valid or parse_work_key(key) is not None or _DERIVED_KEY.fullmatch(key):
        return key
    return "hashed-" + hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()[:16]
