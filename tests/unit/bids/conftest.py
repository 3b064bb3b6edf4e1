import math

import numpy as np
import pytest

from neuro_preprocess.image import Image
from neuro_preprocess.normalize import normalize
from neuro_preprocess.skull_strip import SelfCheck


@pytest.fixture
def checks():
    return [SelfCheck("volume_ml", 1400.0, 900.0, 2000.0), SelfCheck("ring_ratio", float("nan"), 1.3, math.inf)]


@pytest.fixture
def head():
    rng = np.random.default_rng(3)
    affine = np.array([[1.0, 0, 0, -3], [0, 2, 0, -4], [0, 0, 3, -5], [0, 0, 0, 1]])
    return Image(np.asfortranarray(rng.normal(100, 10, (7, 8, 9)).astype(np.float32)), affine, 2)


@pytest.fixture
def mask():
    mask = np.zeros((7, 8, 9), bool, order="F")
    mask[1:6, 2:7, 1:8] = True
    return mask


@pytest.fixture
def normalized(head, mask):
    return normalize(head.data, mask)


@pytest.fixture
def brain(head, normalized):
    return Image(normalized.volume, head.affine, head.xform_code)
