import pytest
from opentelemetry.sdk.trace import sampling

from lambda_otel.sampling import ParentBasedAlwaysOn, make_sampler
from lambda_otel.settings import Settings
from lambda_otel.settings_table import SAMPLERS


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("always_on", sampling.ALWAYS_ON),
        ("always_off", sampling.ALWAYS_OFF),
        ("traceidratio", sampling.TraceIdRatioBased(0.25)),
        ("parentbased_always_on", sampling.DEFAULT_ON),
        ("parentbased_always_off", sampling.DEFAULT_OFF),
        ("parentbased_traceidratio", sampling.ParentBasedTraceIdRatio(0.25)),
    ],
)
def test_sampler_of_a_standard_name_is_the_sdks(name, expected):
    assert make_sampler(name, 0.25).get_description() == expected.get_description()


def test_default_sampler_is_the_cheap_one():
    assert isinstance(make_sampler(Settings({})["OTEL_TRACES_SAMPLER"], 1.0), ParentBasedAlwaysOn)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_name_makes_a_sampler(name):
    assert make_sampler(name, 0.5).get_description()


def test_consistent_samplers_say_what_they_are():
    assert make_sampler("consistent_threshold", 0.5).get_description() == "ConsistentThreshold{0.5}"
    assert (
        make_sampler("parentbased_consistent_threshold", 1.0).get_description() == "ParentBasedConsistentThreshold{1.0}"
    )
