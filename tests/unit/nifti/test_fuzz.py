"""Damage of any kind gives a valid scan or a named fault, within the limits, and never another exception."""

import io
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuro_preprocess.errors import InputFault, InvalidInputError
from neuro_preprocess.nifti import Limits, NiftiReader

pytestmark = pytest.mark.filterwarnings("error")

LIMITS = Limits(max_object_bytes=1 << 20, max_volume_bytes=1 << 20)
WORKING_BYTES = 4 << 20
FUZZ = settings(derandomize=True, max_examples=400, deadline=None)
VARIANTS = [(version, order) for version in (1, 2) for order in "<>"]


def outcome_of(content, is_size_known=True):
    """Scan or fault of a file."""
    try:
        return NiftiReader(io.BytesIO(content), len(content) if is_size_known else None, LIMITS).read()
    except InvalidInputError as error:
        return error.fault


def assert_sound(outcome):
    if isinstance(outcome, InputFault):
        return
    image = outcome.image
    assert image.data.ndim == 3
    assert min(image.data.shape) > 1
    assert image.data.nbytes <= LIMITS.max_volume_bytes
    assert np.isfinite(image.data).all()
    assert image.data.min() < image.data.max()
    assert np.isfinite(image.affine).all()
    assert abs(np.linalg.det(image.affine[:3, :3])) > 0
    assert 1 <= image.xform_code <= 5
    assert 0.19 < min(image.voxel_size_mm) <= max(image.voxel_size_mm) < 5.1


@pytest.mark.parametrize(("version", "order"), VARIANTS)
@pytest.mark.parametrize("is_packed", [False, True])
def test_reader_survives_any_damage_to_the_bytes(build, extension, pack, version, order, is_packed):
    content = build(version=version, order=order, extensions=extension(6, b"note", order))
    before_voxels = len(content) - 7 * 8 * 9 * 2
    change = st.tuples(st.integers(0, before_voxels + 16), st.integers(0, 255))

    @FUZZ
    @given(st.lists(change, min_size=1, max_size=6), st.booleans())
    def damage(changes, is_size_known):
        damaged = bytearray(content)
        for position, value in changes:
            damaged[position] = value
        assert_sound(outcome_of(pack(bytes(damaged)) if is_packed else bytes(damaged), is_size_known))

    damage()


@pytest.mark.parametrize("start", [b"", b"\x1f\x8b\x08\0", b"\x5c\x01\0\0", b"\0\0\x02\x1c" + b"n+2\0\r\n\x1a\n"])
def test_reader_survives_any_bytes(start):
    @FUZZ
    @given(st.binary(max_size=700))
    def feed(rest):
        assert_sound(outcome_of(start + rest))

    feed()


@pytest.mark.parametrize(("version", "order"), VARIANTS)
def test_reader_refuses_a_file_cut_anywhere(build, extension, pack, version, order):
    content = build(version=version, order=order, extensions=extension(6, b"note", order))
    for whole in (content, pack(content)):
        for is_size_known in (True, False):
            faults = {outcome_of(whole[:length], is_size_known) for length in range(len(whole))}
            assert faults <= {
                InputFault.EMPTY,
                InputFault.TRUNCATED,
                InputFault.BAD_OFFSET,
                InputFault.PAIR_UNSUPPORTED,
            }


def test_reader_never_takes_a_flipped_gzip_byte_for_good_voxels(build, pack, voxels):
    packed = pack(build())
    accepted = 0
    for position in range(len(packed)):
        for bits in (0x01, 0x10, 0x80, 0xFF):
            damaged = bytearray(packed)
            damaged[position] ^= bits
            outcome = outcome_of(bytes(damaged))
            if not isinstance(outcome, InputFault):
                accepted += 1
                assert np.array_equal(outcome.image.data, voxels)
                assert np.array_equal(outcome.image.affine[:3, 3], (-3, -20, 11))
    # Only the time, the flags and the system in the gzip header may change without harm.
    assert accepted <= 4 * 7


@pytest.mark.parametrize(("version", "order"), VARIANTS)
def test_reader_never_takes_more_memory_than_its_limits_allow(build, version, order):
    sizes = [2, 3, 50, 63, 64, 300, 32767]
    content = build(version=version, order=order)

    tracemalloc.start()
    try:
        for x in sizes:
            for z in sizes:
                for datatype in (2, 4, 64):
                    offset = 352 if version == 1 else 544
                    header = build(version=version, order=order, dim=(3, x, 3, z, 1, 1, 1, 1), datatype=datatype)
                    assert_sound(outcome_of(header[:offset] + content[offset:], is_size_known=False))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes <= LIMITS.max_volume_bytes + WORKING_BYTES
