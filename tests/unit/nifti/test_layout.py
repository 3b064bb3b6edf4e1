import nibabel as nib
import pytest

from neuro_preprocess.nifti import _layout

JOINED = {"intent_p": "intent_p1", "quatern": "quatern_b", "qoffset": "qoffset_x", "srow": "srow_x"}


@pytest.mark.parametrize(
    ("layout", "reference"),
    [(_layout.NIFTI1_LAYOUT, nib.nifti1.header_dtype), (_layout.NIFTI2_LAYOUT, nib.nifti2.header_dtype)],
    ids=["NIfTI-1", "NIfTI-2"],
)
def test_layout_agrees_with_nibabel(layout, reference):
    assert layout.itemsize == reference.itemsize
    # nibabel splits the magic of NIfTI-2 in two.
    for name in set(layout.names) - {"magic"}:
        kind, offset = layout.fields[name][:2]
        expected_kind, expected_offset = reference.fields[JOINED.get(name, name)][:2]
        assert offset == expected_offset, name
        assert kind.base.str.strip("<|") == expected_kind.base.str.strip("<|"), name
    assert layout.fields["magic"][1] == reference.fields["magic"][1]


def test_scalar_types_agree_with_nibabel():
    known = nib.nifti1.data_type_codes
    for code, dtype in _layout.SCALAR_TYPES.items():
        assert known.dtype[code] == dtype
    assert set(_layout.SCALAR_TYPES) | set(_layout.REFUSED_TYPES) >= {
        code for code in known.value_set() if known.dtype[code].itemsize
    }
