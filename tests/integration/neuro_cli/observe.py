"""Not a test: runs a command under OpenTelemetry's SDK and prints its spans and metrics as the last line of stdout."""

import json
import sys

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from neuro_cli.main import main

exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))

exit_code = main(sys.argv[1:], standalone_mode=False)

spans = [
    {
        "name": span.name,
        "trace_id": trace.format_trace_id(span.context.trace_id),
        "span_id": trace.format_span_id(span.context.span_id),
        "parent_id": trace.format_span_id(span.parent.span_id) if span.parent else None,
        "links": [trace.format_trace_id(link.context.trace_id) for link in span.links],
        "status": span.status.status_code.name,
        "attributes": dict(span.attributes),
        "events": [dict(event.attributes) for event in span.events],
        "description": span.status.description,
    }
    for span in exporter.get_finished_spans()
]
data = reader.get_metrics_data()  # None where nothing was measured
points = [
    {
        "name": metric.name,
        "attributes": dict(point.attributes),
        "value": getattr(point, "value", None),
        "count": getattr(point, "count", None),
    }
    for resource in (data.resource_metrics if data else [])
    for scope in resource.scope_metrics
    for metric in scope.metrics
    for point in metric.data.data_points
]
sys.stdout.write(json.dumps({"exit_code": exit_code, "spans": spans, "points": points}) + "\n")
