package bufferprocessor

import (
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// A payload is divided between its leaves (spans, metrics, log records): the first half of them moves, with copies of
// the resource and scope they stand under. A single leaf cannot be divided.

func (tracesCodec) Split(td ptrace.Traces) (ptrace.Traces, bool) {
	half := ptrace.NewTraces()
	wanted := td.SpanCount() / 2
	if wanted == 0 {
		return half, false
	}
	td.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
		if wanted == 0 {
			return false
		}
		rsHalf := half.ResourceSpans().AppendEmpty()
		rs.Resource().CopyTo(rsHalf.Resource())
		rsHalf.SetSchemaUrl(rs.SchemaUrl())
		rs.ScopeSpans().RemoveIf(func(ss ptrace.ScopeSpans) bool {
			if wanted == 0 {
				return false
			}
			ssHalf := rsHalf.ScopeSpans().AppendEmpty()
			ss.Scope().CopyTo(ssHalf.Scope())
			ssHalf.SetSchemaUrl(ss.SchemaUrl())
			ss.Spans().RemoveIf(func(span ptrace.Span) bool {
				if wanted == 0 {
					return false
				}
				wanted--
				span.MoveTo(ssHalf.Spans().AppendEmpty())
				return true
			})
			return ss.Spans().Len() == 0
		})
		return rs.ScopeSpans().Len() == 0
	})
	return half, true
}

func (metricsCodec) Split(md pmetric.Metrics) (pmetric.Metrics, bool) {
	half := pmetric.NewMetrics()
	wanted := md.MetricCount() / 2
	if wanted == 0 {
		return half, false
	}
	md.ResourceMetrics().RemoveIf(func(rm pmetric.ResourceMetrics) bool {
		if wanted == 0 {
			return false
		}
		rmHalf := half.ResourceMetrics().AppendEmpty()
		rm.Resource().CopyTo(rmHalf.Resource())
		rmHalf.SetSchemaUrl(rm.SchemaUrl())
		rm.ScopeMetrics().RemoveIf(func(sm pmetric.ScopeMetrics) bool {
			if wanted == 0 {
				return false
			}
			smHalf := rmHalf.ScopeMetrics().AppendEmpty()
			sm.Scope().CopyTo(smHalf.Scope())
			smHalf.SetSchemaUrl(sm.SchemaUrl())
			sm.Metrics().RemoveIf(func(metric pmetric.Metric) bool {
				if wanted == 0 {
					return false
				}
				wanted--
				metric.MoveTo(smHalf.Metrics().AppendEmpty())
				return true
			})
			return sm.Metrics().Len() == 0
		})
		return rm.ScopeMetrics().Len() == 0
	})
	return half, true
}

func (logsCodec) Split(ld plog.Logs) (plog.Logs, bool) {
	half := plog.NewLogs()
	wanted := ld.LogRecordCount() / 2
	if wanted == 0 {
		return half, false
	}
	ld.ResourceLogs().RemoveIf(func(rl plog.ResourceLogs) bool {
		if wanted == 0 {
			return false
		}
		rlHalf := half.ResourceLogs().AppendEmpty()
		rl.Resource().CopyTo(rlHalf.Resource())
		rlHalf.SetSchemaUrl(rl.SchemaUrl())
		rl.ScopeLogs().RemoveIf(func(sl plog.ScopeLogs) bool {
			if wanted == 0 {
				return false
			}
			slHalf := rlHalf.ScopeLogs().AppendEmpty()
			sl.Scope().CopyTo(slHalf.Scope())
			slHalf.SetSchemaUrl(sl.SchemaUrl())
			sl.LogRecords().RemoveIf(func(record plog.LogRecord) bool {
				if wanted == 0 {
					return false
				}
				wanted--
				record.MoveTo(slHalf.LogRecords().AppendEmpty())
				return true
			})
			return sl.LogRecords().Len() == 0
		})
		return rl.ScopeLogs().Len() == 0
	})
	return half, true
}
