package bufferprocessor

import (
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// An OTLP export request and the data it carries have the same encoding, so the pdata marshalers write requests.

type tracesCodec struct{}

func (tracesCodec) Encode(td ptrace.Traces) ([]byte, error) {
	m := ptrace.ProtoMarshaler{}
	return m.MarshalTraces(td)
}

func (tracesCodec) Decode(request []byte) (ptrace.Traces, error) {
	u := ptrace.ProtoUnmarshaler{}
	return u.UnmarshalTraces(request)
}

func (tracesCodec) Count(td ptrace.Traces) int { return td.SpanCount() }

func (tracesCodec) Merge(dst, src ptrace.Traces) {
	src.ResourceSpans().MoveAndAppendTo(dst.ResourceSpans())
}

type metricsCodec struct{}

func (metricsCodec) Encode(md pmetric.Metrics) ([]byte, error) {
	m := pmetric.ProtoMarshaler{}
	return m.MarshalMetrics(md)
}

func (metricsCodec) Decode(request []byte) (pmetric.Metrics, error) {
	u := pmetric.ProtoUnmarshaler{}
	return u.UnmarshalMetrics(request)
}

func (metricsCodec) Count(md pmetric.Metrics) int { return md.DataPointCount() }

func (metricsCodec) Merge(dst, src pmetric.Metrics) {
	src.ResourceMetrics().MoveAndAppendTo(dst.ResourceMetrics())
}

type logsCodec struct{}

func (logsCodec) Encode(ld plog.Logs) ([]byte, error) {
	m := plog.ProtoMarshaler{}
	return m.MarshalLogs(ld)
}

func (logsCodec) Decode(request []byte) (plog.Logs, error) {
	u := plog.ProtoUnmarshaler{}
	return u.UnmarshalLogs(request)
}

func (logsCodec) Count(ld plog.Logs) int { return ld.LogRecordCount() }

func (logsCodec) Merge(dst, src plog.Logs) {
	src.ResourceLogs().MoveAndAppendTo(dst.ResourceLogs())
}
