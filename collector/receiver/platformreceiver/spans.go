package platformreceiver

import (
	"crypto/rand"
	"encoding/hex"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"neuro-preprocess/collector/internal/platform"
)

// initPhase is the function's initialisation, which becomes a span in the trace of the invocation it was for.
type initPhase struct {
	start, stop time.Time
	kind        string
	isColdStart bool
	status      string
	errorType   string
	isSent      bool
}

func (p *initPhase) begin(at time.Time, record platform.InitStart) {
	// An environment whose runtime died is initialised again, as a part of the next invocation: no start of an
	// environment. An older platform names no phase, and means the first.
	isFirst := record.Phase == "" || record.Phase == platform.PhaseInit
	*p = initPhase{
		start: at, kind: record.InitializationType, isColdStart: isFirst && record.InitializationType == platform.OnDemand,
	}
}

func (p *initPhase) end(at time.Time, record platform.InitRuntimeDone) {
	p.stop, p.status, p.errorType = at, record.Status, record.ErrorType
}

// initSpan makes the span once it is known which trace it belongs to: that of the first invocation, beside its span.
// When there is no time left to learn that, it becomes a trace of its own.
func (m *Monitor) initSpan(isLast bool) (ptrace.Traces, bool) {
	p := &m.init
	if p.isSent || p.start.IsZero() || p.stop.IsZero() {
		return ptrace.Traces{}, false
	}
	root, isKnown := m.roots.Of(m.current.requestID)
	if !isKnown && !isLast {
		return ptrace.Traces{}, false
	}
	p.isSent = true
	td, span := m.newSpan("init "+m.function.Name, ptrace.SpanKindInternal, p.start, p.stop)
	if isKnown {
		span.SetTraceID(root.TraceID)
		span.SetParentSpanID(root.ParentID)
	}
	span.Attributes().PutBool("faas.coldstart", p.isColdStart)
	span.Attributes().PutStr("aws.lambda.initialization_type", p.kind)
	if p.status != "" && p.status != platform.StatusSuccess {
		span.Status().SetCode(ptrace.StatusCodeError)
		span.Attributes().PutStr("error.type", orElse(p.errorType, p.status))
	}
	return td, true
}

// rootSpan stands for an invocation that failed before anything of it was seen.
func (m *Monitor) rootSpan(inv *invocation, at time.Time, errorType, message string) ptrace.Traces {
	start := at
	if !inv.start.IsZero() {
		start = inv.start
	}
	td, span := m.newSpan(m.function.Name, ptrace.SpanKindServer, start, at)
	span.Attributes().PutStr("faas.invocation_id", inv.requestID)
	span.Attributes().PutStr("error.type", errorType)
	span.Status().SetCode(ptrace.StatusCodeError)
	span.Status().SetMessage(message)
	return td
}

func (m *Monitor) newSpan(name string, kind ptrace.SpanKind, start, end time.Time) (ptrace.Traces, ptrace.Span) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	m.function.fill(rs.Resource(), m.function.ServiceName)
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName(scopeName)
	span := ss.Spans().AppendEmpty()
	span.SetName(name)
	span.SetKind(kind)
	var trace pcommon.TraceID
	var id pcommon.SpanID
	_, _ = rand.Read(trace[:])
	_, _ = rand.Read(id[:])
	span.SetTraceID(trace)
	span.SetSpanID(id)
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
	span.SetEndTimestamp(max(pcommon.NewTimestampFromTime(end), span.StartTimestamp()))
	return td, span
}

func orElse(value, other string) string {
	if value == "" {
		return other
	}
	return value
}

// parseID reads an id of a trace or of a span into id, whose length it must have.
func parseID(id []byte, text string) bool {
	if hex.DecodedLen(len(text)) != len(id) {
		return false
	}
	n, err := hex.Decode(id, []byte(text))
	return err == nil && n == len(id)
}
