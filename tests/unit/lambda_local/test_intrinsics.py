import pytest

from lambda_local._intrinsics import NO_VALUE, Resolver
from lambda_local.errors import TemplateError

REFERENCES = {"Prefix": "demo", "Zones": ["a", "b"], "Empty": "", "AWS::NoValue": NO_VALUE}
ATTRIBUTES = {("Queue", "Arn"): "arn:queue"}


def resolver(conditions=None, mappings=None):
    return Resolver(
        REFERENCES.__getitem__, lambda *names: ATTRIBUTES[names], conditions=conditions or {}, mappings=mappings or {}
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "Prefix"}, "demo"),
        ({"Fn::GetAtt": ["Queue", "Arn"]}, "arn:queue"),
        ({"Fn::GetAtt": "Queue.Arn"}, "arn:queue"),
        ({"Fn::Sub": "${Prefix}-raw ${Queue.Arn} ${!Literal}"}, "demo-raw arn:queue ${Literal}"),
        ({"Fn::Sub": ["${Name}-${Prefix}", {"Name": {"Ref": "Prefix"}}]}, "demo-demo"),
        ({"Fn::Join": ["-", ["x", {"Ref": "Prefix"}, 3]]}, "x-demo-3"),
        ({"Fn::Select": [1, {"Ref": "Zones"}]}, "b"),
        ({"Fn::Select": ["0", ["only"]]}, "only"),
        ({"Fn::Split": ["/", "a/b/c"]}, ["a", "b", "c"]),
        ({"Fn::FindInMap": ["Sizes", {"Ref": "Prefix"}, "Memory"]}, 512),
        ({"Fn::FindInMap": ["Sizes", "other", "Memory", {"DefaultValue": 1}]}, 1),
        ({"Fn::If": ["IsDemo", "yes", "no"]}, "yes"),
        ({"Fn::If": ["IsEmpty", "yes", "no"]}, "yes"),
        ({"Fn::If": ["IsNeither", "yes", "no"]}, "no"),
        ({"Key": {"Fn::If": ["IsDemo", {"Ref": "AWS::NoValue"}, 1]}, "Kept": True}, {"Kept": True}),
        ([1, {"Fn::If": ["IsDemo", {"Ref": "AWS::NoValue"}, 1]}, 2], [1, 2]),
        ({"Condition": {"StringEquals": {"x": {"Ref": "Prefix"}}}}, {"Condition": {"StringEquals": {"x": "demo"}}}),
        ("plain", "plain"),
    ],
)
def test_resolve_gives_what_cloudformation_would(value, expected):
    conditions = {
        "IsDemo": {"Fn::Equals": [{"Ref": "Prefix"}, "demo"]},
        "IsEmpty": {"Fn::Equals": [{"Ref": "Empty"}, ""]},
        "IsBoth": {"Fn::And": [{"Condition": "IsDemo"}, {"Condition": "IsEmpty"}]},
        "IsNeither": {"Fn::Not": [{"Fn::Or": [{"Condition": "IsBoth"}, {"Fn::Equals": ["a", "b"]}]}]},
    }
    mappings = {"Sizes": {"demo": {"Memory": 512}}}
    assert resolver(conditions, mappings).resolve(value) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"Ref": "Nobody"}, "`Nobody`, which is neither"),
        ({"Fn::GetAtt": ["Nobody", "Arn"]}, "`Nobody`, which is not a resource"),
        ({"Fn::GetAtt": ["Queue"]}, "expects a resource and an attribute"),
        ({"Fn::Sub": "${Nobody}"}, "`Nobody`"),
        ({"Fn::Sub": ["a", {}, 1]}, "expects a list of 2"),
        ({"Fn::Select": [5, ["a"]]}, "no item `5`"),
        ({"Fn::FindInMap": ["Sizes", "x", "y"]}, "mapping `Sizes` has no"),
        ({"Fn::If": ["Nobody", 1, 2]}, "condition `Nobody` is not defined"),
        ({"Fn::If": ["Loop", 1, 2]}, "condition `Loop` depends on itself"),
        ({"Fn::ImportValue": "other"}, "`Fn::ImportValue` is not among"),
    ],
)
def test_resolve_refuses_what_it_cannot_know(value, message):
    with pytest.raises(TemplateError, match=message):
        resolver({"Loop": {"Fn::Not": [{"Condition": "Loop"}]}}).resolve(value)
