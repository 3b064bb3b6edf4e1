import random

from lambda_otel.ids import OsIdGenerator


def test_ids_are_of_their_size_and_never_the_same():
    ids = OsIdGenerator()

    spans = [ids.generate_span_id() for _ in range(1000)]
    traces = [ids.generate_trace_id() for _ in range(1000)]

    assert len(set(spans)) == len(set(traces)) == 1000
    assert all(0 < one < 2**64 for one in spans)
    assert max(traces) > 2**120
    assert ids.is_trace_id_random()


def test_ids_do_not_follow_the_functions_seed():
    drawn = []
    for _ in range(2):
        random.seed(0)
        drawn.append(OsIdGenerator().generate_trace_id())

    assert drawn[0] != drawn[1]


def test_renewed_generator_uses_nothing_that_was_drawn_before():
    ids = OsIdGenerator()
    ids.generate_span_id()
    drawn = set(ids._drawn)

    ids.renew()

    assert drawn
    assert not drawn & {ids.generate_span_id() for _ in range(200)}


def test_zero_is_no_id():
    ids = OsIdGenerator()
    ids._drawn = [5, 0, 0]

    assert ids.generate_span_id() == 5
