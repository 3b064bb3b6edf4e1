import pytest

from lambda_local.errors import TemplateError
from lambda_local.event_patterns import EventPattern

EVENT = {
    "source": "aws.s3",
    "detail-type": "Object Created",
    "detail": {
        "bucket": {"name": "raw"},
        "object": {"key": "sub-01/anat/sub-01_T1w.nii.gz", "size": 300},
        "tags": ["a", "b"],
        "nothing": None,
    },
}


@pytest.mark.parametrize(
    ("pattern", "is_match"),
    [
        ({}, True),
        ({"source": ["aws.s3"]}, True),
        ({"source": ["aws.ec2", "aws.s3"]}, True),
        ({"source": ["aws.ec2"]}, False),
        ({"missing": ["x"]}, False),
        ({"source": ["aws.s3"], "detail": {"bucket": {"name": ["other"]}}}, False),
        ({"detail": {"bucket": {"name": ["raw"]}}}, True),
        ({"detail": {"bucket": {"name": {"deeper": ["raw"]}}}}, False),
        ({"detail": {"object": {"key": [{"prefix": "sub-"}]}}}, True),
        ({"detail": {"object": {"key": [{"prefix": "raw/"}]}}}, False),
        ({"detail": {"object": {"key": [{"suffix": ".nii.gz"}]}}}, True),
        ({"detail": {"object": {"key": [{"suffix": {"equals-ignore-case": ".NII.GZ"}}]}}}, True),
        ({"detail": {"object": {"key": [{"wildcard": "sub-*/anat/*.nii.gz"}]}}}, True),
        ({"detail": {"object": {"key": [{"wildcard": "sub-*/func/*"}]}}}, False),
        ({"detail": {"bucket": {"name": [{"equals-ignore-case": "RAW"}]}}}, True),
        ({"detail": {"bucket": {"name": [{"anything-but": ["raw", "x"]}]}}}, False),
        ({"detail": {"bucket": {"name": [{"anything-but": "x"}]}}}, True),
        ({"detail": {"bucket": {"name": [{"anything-but": {"prefix": "ra"}}]}}}, False),
        ({"detail": {"object": {"size": [300]}}}, True),
        ({"detail": {"object": {"size": ["300"]}}}, False),
        ({"detail": {"object": {"size": [{"numeric": [">", 0, "<=", 300]}]}}}, True),
        ({"detail": {"object": {"size": [{"numeric": ["<", 300]}]}}}, False),
        ({"detail": {"object": {"version-id": [{"exists": False}]}}}, True),
        ({"detail": {"object": {"size": [{"exists": True}]}}}, True),
        ({"detail": {"object": {"size": [{"exists": False}]}}}, False),
        ({"detail": {"tags": ["b"]}}, True),
        ({"detail": {"tags": ["c"]}}, False),
        ({"detail": {"nothing": [None]}}, True),
        ({"$or": [{"source": ["x"]}, {"detail": {"tags": ["a"]}}]}, True),
        ({"$or": [{"source": ["x"]}, {"detail": {"tags": ["z"]}}]}, False),
    ],
)
def test_pattern_matches_as_eventbridge_does(pattern, is_match):
    assert EventPattern(pattern).matches(EVENT) is is_match


@pytest.mark.parametrize(
    "pattern", [{"ip": [{"cidr": "10.0.0.0/8"}]}, {"source": "aws.s3"}, {"$or": [{"a": [{"shuffle": 1}]}]}, ["x"]]
)
def test_pattern_refuses_what_it_does_not_understand(pattern):
    with pytest.raises(TemplateError):
        EventPattern(pattern)
