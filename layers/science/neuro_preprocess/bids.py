"""BIDS names: what a scan's key says about it, and what its derivatives are called.

A key is read as a path of a raw BIDS dataset. Its derivatives lie below `sub-<label>/` whatever the key was:

    sub-01/anat/sub-01_T1w.nii.gz          -> sub-01/anat/sub-01_desc-brain_T1w.nii.gz
    sub-01_T1w.nii.gz                      -> the same: a BIDS file name implies its folder
    siteB/sub-01/anat/sub-01_T1w.nii.gz    -> sub-01x<hash of `siteB/`>/anat/...: another person's sub-01
    scan 1.nii.gz                          -> sub-x<hash of the key>/anat/...

Different scans never share a name: `.nii` and `.nii.gz`, of which a BIDS dataset may hold one, and the two spellings
above are all that is taken for the same. A name that is not BIDS may well be a patient's name, so nothing of it goes
into the derivatives but a hash, which whoever may list the raw bucket can compute again.
"""

import hashlib
import re
from dataclasses import dataclass

from neuro_preprocess.image import Contrast, Notice

_LABEL = "[0-9a-zA-Z+]+"
_INDEX = "[0-9]+"
# Entities that BIDS allows on a raw T1w or T2w scan, in the order it prescribes.
_ENTITIES = {
    "sub": _LABEL,
    "ses": _LABEL,
    "task": _LABEL,
    "acq": _LABEL,
    "ce": _LABEL,
    "rec": _LABEL,
    "run": _INDEX,
    "echo": _INDEX,
    "part": "mag|phase|real|imag",
    "chunk": _INDEX,
}
_OTHER_ENTITIES = "".join(rf"(?:_{name}-(?P<{name}>{label}))?" for name, label in _ENTITIES.items() if name != "sub")
_SCAN = re.compile(rf"sub-(?P<sub>{_LABEL}){_OTHER_ENTITIES}_(?P<suffix>T1w|T2w)(?P<extension>(?i:\.nii(?:\.gz)?))")
_NIFTI_EXTENSION = re.compile(r"\.nii(?:\.gz)?$", re.IGNORECASE)
_T2W_NAME = re.compile(r"(?:^|[^0-9a-z])t2w$", re.IGNORECASE)
# Suffixes of other MRI data: processed as if it were T1w, for want of better, but not without a word.
_OTHER_SUFFIX = re.compile(
    r"_(?:PDw|T2starw|FLAIR|inplaneT[12]|PDT2|angio|UNIT1|T[12]map|MP2RAGE|MESE|MEGRE|VFA|bold|sbref|dwi|asl|epi)$"
)
_HASH_DIGITS = 12
# Derivatives repeat the label in folder and name, and S3's keys end at 1024 bytes, file systems' names at 255.
_LONGEST_NAME = 200
_GIVEN_LABEL = re.compile(rf"(?:{_LABEL})?x[0-9a-f]{{{_HASH_DIGITS}}}")

_COMPANION_EXTENSIONS = (".json", ".tsv", ".tsv.gz", ".bval", ".bvec")
_COMPANION_FILE = re.compile(r"(?:README|CHANGES|LICENSE)(?:\.md|\.rst|\.txt)?|CITATION\.cff")
# Folders at the top of a raw dataset whose content BIDS leaves open: whatever lies there, it is not the raw data.
_OPAQUE_FOLDERS = ("code", "derivatives", "docs", "logs", "phenotype", "sourcedata", "stimuli")


@dataclass(frozen=True)
class BidsName:
    """What a key says about its scan.

    Attributes
    ----------
    key : str
        As it was given.
    entities : tuple of (str, str)
        Names and labels for the derivatives, in the order of BIDS; the first is always `sub`.
    contrast : {"T1w", "T2w"}
        The suffix. A name that is not BIDS counts as T2w if it ends in `T2w`, else as T1w.
    extension : str
        `.nii` or `.nii.gz` in lower case; empty if the name has neither.
    is_valid : bool
        The key is a path of a raw BIDS dataset, or its file name alone: its labels are pseudonyms, not patients' names.
        The extension may be in upper case.
    """

    key: str
    entities: tuple[tuple[str, str], ...]
    contrast: Contrast
    extension: str
    is_valid: bool

    @classmethod
    def parse(cls, key: str) -> "BidsName":
        """Read a key or a file name; any text is accepted.

        Examples
        --------
        >>> BidsName.parse("sub-01/ses-2/anat/sub-01_ses-2_run-1_T2w.nii.gz").stem
        'sub-01_ses-2_run-1'
        """
        file_name = key.rpartition("/")[2]
        match = _SCAN.fullmatch(file_name) if len(file_name) <= _LONGEST_NAME else None
        if match is None:
            stem = _NIFTI_EXTENSION.sub("", file_name)
            return cls(
                key=key,
                entities=(("sub", _mark("", key)),),
                contrast="T2w" if _T2W_NAME.search(stem) else "T1w",
                extension=file_name[len(stem) :].lower(),
                is_valid=False,
            )
        entities = {name: match[name] for name in _ENTITIES if match[name] is not None}
        prefix = _dataset_prefix(key.removesuffix(file_name), entities)
        is_valid = prefix == ""
        # A label that looks like one of ours is marked once more, or else it could be taken for another scan's.
        if not is_valid or _GIVEN_LABEL.fullmatch(entities["sub"]):
            entities["sub"] = _mark(entities["sub"], prefix)
        return cls(
            key=key,
            entities=tuple(entities.items()),
            contrast="T2w" if match["suffix"] == "T2w" else "T1w",
            extension=match["extension"].lower(),
            is_valid=is_valid,
        )

    def __getitem__(self, entity: str) -> str | None:
        """Label of an entity, or None if the name has none."""
        return dict(self.entities).get(entity)

    @property
    def stem(self) -> str:
        """The entities as they stand in a file name: `sub-01_ses-2_run-1`."""
        return "_".join(f"{name}-{label}" for name, label in self.entities)

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What is odd about the name."""
        stem = _NIFTI_EXTENSION.sub("", self.key.rpartition("/")[2])
        if _OTHER_SUFFIX.search(stem):
            suffix = stem.rpartition("_")[2]
            return (Notice("OTHER_SUFFIX", f"expected the suffix `T1w` or `T2w`, got `{suffix}`: taken as T1w"),)
        if self["part"] not in (None, "mag"):
            return (Notice("NOT_MAGNITUDE", f"expected a magnitude image, got `part-{self['part']}`"),)
        return ()


def is_companion(key: str) -> bool:
    """Whether a key names something that belongs to a dataset but is no scan, and is to be left alone.

    These are sidecars (`.json`, `.tsv`, `.tsv.gz`, `.bval`, `.bvec`), a dataset's texts (README, CHANGES, ...), hidden
    files, folder placeholders, and what lies in the folders that BIDS keeps for other things than raw data (`code/`,
    `derivatives/`, `sourcedata/`, ...). Anything else is a scan until its content says otherwise, whatever its name.
    """
    *folders, file_name = key.split("/")
    return (
        file_name == ""
        or any(part.startswith(".") and part not in (".", "..") for part in (*folders, file_name))
        or file_name.lower().endswith(_COMPANION_EXTENSIONS)
        or _COMPANION_FILE.fullmatch(file_name) is not None
        or (len(folders) > 0 and folders[0] in _OPAQUE_FOLDERS)
    )


def derivative_path(name: BidsName, desc: str, suffix: str, extension: str, *, res: str | None = None) -> str:
    """Path of a derivative, below the top of the derivative dataset.

    `res` stays out of the usual names: BIDS asks for it where a dataset holds one image at several resolutions, and
    this one never does. The suffix `mask` does not tell contrasts apart, so that a T2w scan's mask has it in `desc`.

    Examples
    --------
    >>> derivative_path(BidsName.parse("sub-01_ses-2_T1w.nii"), "brain", "T1w", ".nii.gz")
    'sub-01/ses-2/anat/sub-01_ses-2_desc-brain_T1w.nii.gz'
    """
    if suffix == "mask" and name.contrast != "T1w":
        desc += name.contrast
    folders = [f"{entity}-{name[entity]}" for entity in ("sub", "ses") if name[entity] is not None]
    resolution = "" if res is None else f"_res-{res}"
    return "/".join((*folders, "anat", f"{name.stem}{resolution}_desc-{desc}_{suffix}{extension}"))


def figure_path(name: BidsName, extension: str) -> str:
    """Path of a file of the quality report; BIDS leaves `figures/` open, and nipreps put theirs there.

    Examples
    --------
    >>> figure_path(BidsName.parse("sub-01_ses-2_T1w.nii"), ".html")
    'sub-01/figures/sub-01_ses-2_desc-qc_T1w.html'
    """
    return f"sub-{name['sub']}/figures/{name.stem}_desc-qc_{name.contrast}{extension}"


def _dataset_prefix(folder: str, entities: dict[str, str]) -> str:
    """Part of a folder before its end `sub-<label>/[ses-<label>/]anat/`; all of it where that is not its end."""
    own = "".join(f"{entity}-{entities[entity]}/" for entity in ("sub", "ses") if entity in entities) + "anat/"
    return folder.removesuffix(own)


def _mark(label: str, text: str) -> str:
    return f"{label}x{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:_HASH_DIGITS]}"
