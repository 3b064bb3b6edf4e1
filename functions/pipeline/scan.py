"""What is known of a scan, as it goes from stage to stage: one JSON object beside each stage's output."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from neuro_preprocess.bids import BidsName
from neuro_preprocess.image import Contrast, Notice
from pipeline import keys
from pipeline.errors import StageError
from pipeline.events import S3Object


@dataclass
class ScanRecord:
    """One run of one scan.

    Attributes
    ----------
    run_id, order : str
        See `keys.run_id` and `keys.run_order`.
    bucket, key, version_id, etag, size_bytes
        The upload.
    uploaded_at : float
        Seconds since 1970.
    contrast : str
        `T1w` or `T2w`, by the name.
    notices : list of Notice
        What was odd but did not stop it.
    seconds : dict
        Wall time of each stage that is done, in s.
    facts : dict
        What each stage found, by stage; numbers and plain values only.
    is_superseded : bool
        A newer upload of the same name has written its derivatives.
    """

    run_id: str
    order: str
    bucket: str
    key: str
    version_id: str | None
    etag: str
    size_bytes: int
    uploaded_at: float
    contrast: Contrast
    notices: list[Notice] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    is_superseded: bool = False

    @classmethod
    def begin(cls, source: S3Object) -> "ScanRecord":
        """The record of a run that begins with this upload."""
        return cls(
            run_id=keys.run_id(source),
            order=keys.run_order(source),
            bucket=source.bucket,
            key=source.key,
            version_id=source.version_id,
            etag=source.etag.strip('"'),
            size_bytes=source.size_bytes or 0,
            uploaded_at=source.created_at.timestamp(),
            contrast=BidsName.parse(source.key).contrast,
        )

    @property
    def name(self) -> BidsName:
        """The scan's BIDS name: its own, or the one it is given."""
        return BidsName.parse(self.key)

    def to_json(self) -> bytes:
        """Stable bytes: sorted keys, one final newline."""
        return (json.dumps(asdict(self), indent=1, sort_keys=True) + "\n").encode()

    @classmethod
    def from_json(cls, content: bytes) -> "ScanRecord":
        """Read what `to_json` wrote.

        Raises
        ------
        StageError
            The bytes are something else.
        """
        try:
            fields = json.loads(content)
            notices = [Notice(**notice) for notice in fields.pop("notices")]
            return cls(notices=notices, **fields)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise StageError(f"expected a scan record, but it cannot be read: {error!r}") from error
