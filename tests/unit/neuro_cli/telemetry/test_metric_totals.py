import itertools

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from neuro_cli.telemetry.metric_totals import Series, Totals, quantile


def totals_of(*bodies):
    totals = Totals()
    for body in bodies:
        totals.add(ExportMetricsServiceRequest.FromString(body))
    return totals


def test_deltas_of_all_environments_are_added(writer, make):
    bodies = [
        writer(instance=name).metrics(make["total"]("c", value, begin, begin + 1))
        for name, value, begin in (("env-1", 1, 0), ("env-1", 2, 1), ("env-2", 4, 0))
    ]
    assert totals_of(*bodies).total("c") == 7


def test_delta_that_came_twice_counts_once(writer, make):
    body = writer().metrics(make["total"]("c", 3))
    assert totals_of(body, body).total("c") == 3


def test_deltas_that_tell_no_start_are_told_apart_by_their_end(writer, make):
    def without_start(end):
        def fill(metric):
            make["total"]("c", 1, 0, end)(metric)
            metric.sum.data_points[0].ClearField("start_time_unix_nano")

        return fill

    bodies = [writer().metrics(without_start(end)) for end in (1, 2, 2)]
    assert totals_of(*bodies).total("c") == 2


def test_cumulative_points_count_by_their_last_in_any_order(writer, make):
    bodies = [
        writer().metrics(make["total"]("c", value, 0, end, is_delta=False)) for value, end in ((2, 1), (5, 2), (9, 3))
    ]
    for order in itertools.permutations(bodies):
        assert totals_of(*order).total("c") == 9


def test_cumulative_writer_that_begins_anew_is_another(writer, make):
    bodies = [
        writer().metrics(make["total"]("c", 9, 0, 3, is_delta=False)),
        writer().metrics(make["total"]("c", 2, 4, 5, is_delta=False)),
        writer(instance="env-2").metrics(make["total"]("c", 1, 0, 5, is_delta=False)),
    ]
    assert totals_of(*bodies).total("c") == 12


def test_totals_can_be_asked_by_attributes(writer, make):
    body = writer().metrics(
        make["total"]("c", 1, outcome="lost", signal="traces"),
        make["total"]("c", 2, outcome="lost", signal="logs"),
        make["total"]("c", 4, outcome="sent", signal="logs"),
    )
    totals = totals_of(body)
    assert [totals.total("c", outcome="lost"), totals.total("c", outcome="lost", signal="logs")] == [3, 2]
    assert totals.total("c", outcome="none") == totals.total("other") == 0


def test_gauge_has_its_last_value(writer, make):
    bodies = [writer().metrics(make["gauge"]("g", value, at)) for value, at in ((1.0, 1), (3.0, 3), (2.0, 2))]
    assert totals_of(*bodies).get("g").series[0].total == 3.0


def test_series_are_told_apart_by_function_and_attributes(writer, make):
    bodies = [
        writer(function).metrics(make["total"]("c", 1, stage=stage))
        for function, stage in (("A", "x"), ("A", "y"), ("B", "x"))
    ]
    series = totals_of(*bodies).get("c").series
    assert [(one.function, dict(one.labels)) for one in series] == [
        ("A", {"stage": "x"}),
        ("A", {"stage": "y"}),
        ("B", {"stage": "x"}),
    ]


def test_histograms_are_added_bucket_by_bucket(writer, make):
    bodies = [
        writer().metrics(make["histogram"]("h", [1, 2, 0], [1, 5], 7.0, limits=(0.5, 4.0))),
        writer().metrics(make["histogram"]("h", [0, 1, 1], [1, 5], 13.0, 1, 2, limits=(3.0, 9.0))),
    ]
    whole = totals_of(*bodies).get("h").all
    assert (whole.count, whole.total, whole.low, whole.high) == (5, 20.0, 0.5, 9.0)
    assert sorted(whole.buckets.values()) == [1, 1, 3]


def test_quantile_lies_evenly_within_its_bucket(writer, make):
    whole = totals_of(writer().metrics(make["histogram"]("h", [0, 10, 0], [1, 3], 20.0))).get("h").all
    assert quantile(whole, 0.5) == pytest.approx(2.0)
    assert quantile(whole, 0.95) == pytest.approx(2.9)


def test_quantile_goes_no_further_than_the_measurements(writer, make):
    whole = totals_of(writer().metrics(make["histogram"]("h", [0, 2], [10], 24.0, limits=(11.0, 13.0)))).get("h").all
    assert 11.0 <= quantile(whole, 0.5) <= 13.0
    assert quantile(whole, 1.0) == 13.0


def test_quantile_of_an_open_bucket_without_limits_is_its_known_end(writer, make):
    whole = totals_of(writer().metrics(make["histogram"]("h", [0, 2], [10], 24.0))).get("h").all
    assert quantile(whole, 0.95) == 10.0


def test_quantile_of_nothing_is_none():
    assert quantile(Series((), "", 0.0), 0.95) is None


def test_zero_points_before_the_first_use_change_nothing(writer, make):
    body = writer().metrics(
        make["histogram"]("h", [0, 0], [10], 0.0, 0, 1), make["histogram"]("h", [1, 0], [10], 4.0, 1, 2, limits=(4, 4))
    )
    whole = totals_of(body).get("h").all
    assert (whole.count, whole.total, whole.low, quantile(whole, 0.5)) == (1, 4.0, 4.0, 4.0)


def test_exponential_histogram_is_read(writer):
    def fill(metric):
        metric.name = "e"
        metric.exponential_histogram.aggregation_temporality = 1
        point = metric.exponential_histogram.data_points.add(count=5, sum=12.0, scale=0, zero_count=1)
        point.positive.offset = 0
        point.positive.bucket_counts.extend([0, 3])  # above 2, up to 4
        point.negative.bucket_counts.extend([1])  # from -2 up to -1

    whole = totals_of(writer().metrics(fill)).get("e").all
    assert dict(whole.buckets) == {(-2.0, -1.0): 1, (0.0, 0.0): 1, (2.0, 4.0): 3}
    assert 2.0 < quantile(whole, 0.5) < 4.0


def test_metric_without_data_or_of_two_kinds_is_left_out(writer, make):
    totals = totals_of(
        writer().metrics(lambda metric: None, make["total"]("m", 1)), writer().metrics(make["gauge"]("m", 5.0))
    )
    assert [(metric.name, metric.kind, metric.all.total) for metric in totals.metrics()] == [("m", "sum", 1)]
