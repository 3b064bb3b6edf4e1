import random

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace._sampling_experimental import (
    composable_parent_threshold,
    composable_traceid_ratio_based,
    composite_sampler,
)
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    TraceState,
    get_current_span,
    set_span_in_context,
)

from lambda_otel.consistent_sampling import ConsistentThreshold, OtState, parse_ot, threshold_of, threshold_text

MAX = 1 << 56
SAMPLED, NOT_SAMPLED = 1, 0


def parent(ot, *, flags=SAMPLED, trace_id=1, others=()):
    state = TraceState([*([("ot", ot)] if ot else []), *others])
    span = NonRecordingSpan(SpanContext(trace_id, 2, is_remote=True, trace_flags=TraceFlags(flags), trace_state=state))
    return set_span_in_context(span, Context())


def decide(sampler, context, trace_id=1, **more):
    result = sampler.should_sample(context, trace_id, "s", **more)
    return result.decision is Decision.RECORD_AND_SAMPLE, (result.trace_state or {}).get("ot")


# the table of the specification, at its recommended precision


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (1, "0"), (2, "8"), (3, "aaab"), (4, "c"), (5, "cccd"), (8, "e"), (10, "e666"), (16, "f"), (100, "fd70a"),
        (1000, "ffbe77"), (10_000, "fff9724"), (100_000, "ffff583a"), (1_000_000, "ffffef39"),
    ],
)  # fmt: skip
def test_threshold_of_one_in_n_is_the_specifications(n, expected):
    assert threshold_text(threshold_of(1 / n)) == expected


@pytest.mark.parametrize("probability", [2**-56, 2**-50, 1e-12])
def test_threshold_of_the_smallest_probabilities_still_keeps_something(probability):
    assert 0 < threshold_of(probability) < MAX


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", OtState(None, None, ())),
        ("th:0", OtState(0, None, ())),
        ("th:c", OtState(0xC << 52, None, ())),
        ("th:fd70a4", OtState(0xFD70A400000000, None, ())),
        ("th:fd70a400000000", OtState(0xFD70A400000000, None, ())),
        ("th:C", OtState(0xC << 52, None, ())),
        ("rv:00000000000009;th:8", OtState(8 << 52, 9, ("rv:00000000000009",))),
        ("p:8;th:8;k1:13", OtState(8 << 52, None, ("p:8", "k1:13"))),
    ],
)
def test_parse_ot_reads_threshold_randomness_and_the_rest(text, expected):
    assert parse_ot(text) == expected


@pytest.mark.parametrize(
    "text", ["th:", "th", "th:xyz", "th:0x8", "th:-1", "th: 8", "th:1_2", "th:000000000000001", "x" * 257]
)
def test_parse_ot_takes_an_invalid_threshold_for_none(text):
    assert parse_ot(text).threshold is None


@pytest.mark.parametrize("text", ["rv:", "rv:1", "rv:0000000000000g", "rv:000000000000001", "rv:+0000000000001"])
def test_parse_ot_takes_an_invalid_randomness_for_none_and_leaves_it_out(text):
    assert parse_ot(text) == OtState(None, None, ())


def test_root_is_kept_by_its_trace_id_and_says_by_what_threshold():
    sampler = ConsistentThreshold(0.25, is_parent_based=False)
    lowest_kept = 0xC << 52

    assert decide(sampler, Context(), lowest_kept) == (True, "th:c")
    assert decide(sampler, Context(), lowest_kept - 1) == (False, None)
    assert decide(sampler, Context(), 0xAB << 56 | lowest_kept) == (True, "th:c")  # bits above the 56 say nothing


def test_root_with_probability_0_is_never_kept_and_with_1_always():
    never, always = (ConsistentThreshold(float(p), is_parent_based=False) for p in (0, 1))

    assert decide(never, Context(), MAX - 1) == (False, None)
    assert decide(always, Context(), 1 << 56) == (True, "th:0")


def test_root_keeps_the_attributes_it_starts_with():
    result = ConsistentThreshold(1.0, is_parent_based=False).should_sample(Context(), 1, "s", attributes={"a": 1})

    assert result.attributes == {"a": 1}


@pytest.mark.parametrize("flags", [SAMPLED, NOT_SAMPLED])
@pytest.mark.parametrize(
    ("ot", "trace_id", "expected"),
    [
        ("th:8", 8 << 52, (True, "th:8")),
        ("th:8", (8 << 52) - 1, (False, None)),
        ("th:8;rv:80000000000000", 1, (True, "th:8;rv:80000000000000")),  # its own number goes before the trace's id
        ("th:8;rv:7fffffffffffff", MAX - 1, (False, "rv:7fffffffffffff")),
        ("p:1;th:0", 1, (True, "p:1;th:0")),
    ],
)
def test_parents_threshold_decides_whatever_its_flag(ot, trace_id, expected, flags):
    sampler = ConsistentThreshold(0.0, is_parent_based=False)

    assert decide(sampler, parent(ot, flags=flags, trace_id=trace_id), trace_id) == expected


@pytest.mark.parametrize("is_parent_based", [True, False])
@pytest.mark.parametrize("ot", ["", "th:nonsense", "p:8"])
def test_parent_without_a_threshold_is_followed_and_none_is_written(ot, is_parent_based):
    sampler = ConsistentThreshold(1.0, is_parent_based=is_parent_based)
    rest = "p:8" if ot == "p:8" else None

    assert decide(sampler, parent(ot, flags=SAMPLED)) == (True, rest)
    assert decide(sampler, parent(ot, flags=NOT_SAMPLED)) == (False, rest)


def test_parent_based_follows_the_flag_and_erases_a_threshold_that_contradicts_it():
    sampler = ConsistentThreshold(1.0, is_parent_based=True)

    assert decide(sampler, parent("th:8", flags=SAMPLED), 8 << 52) == (True, "th:8")
    assert decide(sampler, parent("th:8", flags=SAMPLED), 1) == (True, None)
    assert decide(sampler, parent("th:8", flags=NOT_SAMPLED), 8 << 52) == (False, None)


def test_other_vendors_entries_stay_in_their_order():
    sampler = ConsistentThreshold(1.0, is_parent_based=False)
    context = parent("th:8", others=[("a", "1"), ("b", "2")])

    dropped = sampler.should_sample(context, 1, "s").trace_state
    assert list(dropped.items()) == [("a", "1"), ("b", "2")]
    unchanged = sampler.should_sample(context, 8 << 52, "s").trace_state
    assert list(unchanged.items()) == [("ot", "th:8"), ("a", "1"), ("b", "2")]


def test_span_kept_by_its_parents_threshold_has_its_parents_tracestate():
    sampler = ConsistentThreshold(1.0, is_parent_based=False)
    context = parent("th:8")

    state = sampler.should_sample(context, 8 << 52, "s").trace_state

    assert state is get_current_span(context).get_span_context().trace_state


def test_share_that_is_kept_is_the_probability():
    rng, sampler = random.Random(20), ConsistentThreshold(0.1, is_parent_based=False)

    kept = sum(decide(sampler, Context(), rng.getrandbits(128))[0] for _ in range(20_000))

    assert 1860 < kept < 2140  # 0.1 and four standard errors
    assert threshold_of(0.1) / MAX == pytest.approx(0.9, abs=1e-5)


def test_counts_stay_right_when_every_kept_root_counts_for_its_threshold():
    rng, sampler = random.Random(21), ConsistentThreshold(0.05, is_parent_based=False)
    estimated = 0.0
    for _ in range(20_000):
        is_kept, ot = decide(sampler, Context(), rng.getrandbits(128))
        estimated += MAX / (MAX - parse_ot(ot).threshold) if is_kept else 0

    assert estimated == pytest.approx(20_000, rel=0.12)


def test_stages_of_a_trace_decide_alike_and_a_larger_probability_keeps_all_a_smaller_one_keeps():
    rng = random.Random(22)
    roots = [ConsistentThreshold(p, is_parent_based=False) for p in (0.01, 0.1, 0.5)]
    stages = [ConsistentThreshold(p, is_parent_based=False) for p in (0.0, 0.3, 1.0)]
    for _ in range(3000):
        trace_id = rng.getrandbits(128) | 1
        kept = [decide(root, Context(), trace_id) for root in roots]
        assert sorted(is_kept for is_kept, _ in kept) == [is_kept for is_kept, _ in kept]
        for is_kept, ot in kept:
            for stage in stages if is_kept else ():  # whatever a stage would do with roots of its own
                assert decide(stage, parent(ot, trace_id=trace_id), trace_id) == (True, ot)


# where the SDK's private sampler can be asked, it decides the same


@pytest.mark.parametrize("ot", ["", "th:8", "th:fd70a4", "th:8;rv:80000000000001", "p:8", "rv:00000000000001"])
def test_decisions_are_those_of_the_sdks_own_sampler(ot):
    rng = random.Random(23)
    theirs = composite_sampler(composable_parent_threshold(composable_traceid_ratio_based(0.25)))
    ours = ConsistentThreshold(0.25, is_parent_based=False)
    for _ in range(300):
        trace_id, flags = rng.getrandbits(128) | 1, rng.getrandbits(1)
        context = parent(ot, flags=flags, trace_id=trace_id) if ot else Context()
        state = TraceState([("ot", ot)]) if ot else None
        expected = (
            theirs.should_sample(context, trace_id, "s", trace_state=state).decision is Decision.RECORD_AND_SAMPLE
        )
        assert decide(ours, context, trace_id)[0] is expected


def test_sdks_tracer_hands_no_tracestate_to_samplers_which_is_why_its_own_is_not_used():
    theirs = composite_sampler(composable_parent_threshold(composable_traceid_ratio_based(0.25)))
    ours = ConsistentThreshold(0.25, is_parent_based=False)
    context = parent("th:8", trace_id=1)  # 1 is below the threshold

    def is_recording(sampler):
        provider = TracerProvider(sampler=sampler, resource=Resource({}), shutdown_on_exit=False)
        return provider.get_tracer("t").start_span("s", context).is_recording()

    assert (is_recording(ours), is_recording(theirs)) == (False, True)
