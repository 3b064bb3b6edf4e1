package openspans

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

type spec struct {
	id         byte
	end        int64
	invocation string
}

func traces(specs ...spec) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "f")
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("a scope")
	for _, s := range specs {
		span := ss.Spans().AppendEmpty()
		span.SetTraceID(pcommon.TraceID{1})
		span.SetSpanID(pcommon.SpanID{s.id})
		span.SetParentSpanID(pcommon.SpanID{9})
		span.SetStartTimestamp(100)
		span.SetEndTimestamp(pcommon.Timestamp(s.end))
		if s.invocation != "" {
			span.Attributes().PutStr(invocationKey, s.invocation)
		}
	}
	return td
}

// taken is a pipeline that spans are given back to.
type taken struct{ ptrace.Traces }

func newTaken() *taken { return &taken{ptrace.NewTraces()} }

func (b *taken) sink(td ptrace.Traces) error {
	td.ResourceSpans().MoveAndAppendTo(b.ResourceSpans())
	return nil
}

func TestTrackerTakesAnnouncementsOut(t *testing.T) {
	tracker, back := New(""), newTaken()
	td := traces(spec{id: 1}, spec{id: 2, end: 200})
	tracker.Observe(td, back.sink)
	if td.SpanCount() != 1 || tracker.Len() != 1 {
		t.Errorf("%d spans pass, %d are open", td.SpanCount(), tracker.Len())
	}
	td = traces(spec{id: 3})
	tracker.Observe(td, back.sink)
	if td.ResourceSpans().Len() != 0 {
		t.Error("an empty resource passes")
	}
	// Its announcement is repeated, then it ends in the ordinary way.
	tracker.Observe(traces(spec{id: 1}), back.sink)
	tracker.Observe(traces(spec{id: 1, end: 300}, spec{id: 3, end: 300}), back.sink)
	if tracker.Len() != 0 {
		t.Errorf("%d are open", tracker.Len())
	}
}

func TestTrackerEndsWhatIsOpen(t *testing.T) {
	tracker, back := New(""), newTaken()
	tracker.Observe(traces(spec{id: 1}, spec{id: 2}), back.sink)
	tracker.End(time.Unix(0, 50), "timeout", "ran out of time")
	if back.SpanCount() != 2 || tracker.Len() != 0 {
		t.Fatalf("%d spans, %d open", back.SpanCount(), tracker.Len())
	}
	for _, rs := range back.ResourceSpans().All() {
		if name, _ := rs.Resource().Attributes().Get("service.name"); name.Str() != "f" {
			t.Error("the resource is lost")
		}
		span := rs.ScopeSpans().At(0).Spans().At(0)
		errorType, _ := span.Attributes().Get("error.type")
		if span.EndTimestamp() != 100 || span.Status().Code() != ptrace.StatusCodeError || errorType.Str() != "timeout" {
			t.Errorf("ends at %d with %v %q", span.EndTimestamp(), span.Status().Code(), errorType.Str())
		}
	}
}

func TestTrackerEndsTheSpansOfOneInvocationOnly(t *testing.T) {
	inTrace := func(trace, parent byte, s spec) ptrace.Traces {
		td := traces(s)
		span := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
		span.SetTraceID(pcommon.TraceID{trace})
		span.SetParentSpanID(pcommon.SpanID{parent})
		return td
	}
	for _, tc := range []struct {
		desc      string
		announced []ptrace.Traces
		wantEnded []byte
	}{
		{desc: "traces of their own", wantEnded: []byte{1, 2}, announced: []ptrace.Traces{
			inTrace(1, 0, spec{id: 1, invocation: "a"}), inTrace(1, 1, spec{id: 2}),
			inTrace(2, 0, spec{id: 3, invocation: "b"}), inTrace(2, 3, spec{id: 4}),
		}},
		{desc: "one trace, told apart by parents", wantEnded: []byte{1, 5, 6}, announced: []ptrace.Traces{
			inTrace(1, 0, spec{id: 1, invocation: "a"}), inTrace(1, 0, spec{id: 3, invocation: "b"}),
			inTrace(1, 3, spec{id: 4}), inTrace(1, 1, spec{id: 5}), inTrace(1, 5, spec{id: 6}),
		}},
		{desc: "an unknown parent", wantEnded: []byte{1, 2}, announced: []ptrace.Traces{
			inTrace(1, 0, spec{id: 1, invocation: "a"}), inTrace(1, 99, spec{id: 2}), inTrace(1, 0, spec{id: 3, invocation: "b"}),
		}},
		{desc: "an unknown parent, before the invocation", wantEnded: []byte{3}, announced: []ptrace.Traces{
			inTrace(1, 0, spec{id: 1, invocation: "b"}), inTrace(1, 99, spec{id: 2}), inTrace(1, 0, spec{id: 3, invocation: "a"}),
		}},
		{desc: "a child that came first", wantEnded: []byte{2, 1}, announced: []ptrace.Traces{
			inTrace(1, 1, spec{id: 2}), inTrace(1, 0, spec{id: 1, invocation: "a"}),
		}},
		{desc: "a root that has ended", wantEnded: []byte{2}, announced: []ptrace.Traces{
			inTrace(1, 0, spec{id: 1, end: 200, invocation: "a"}), inTrace(1, 1, spec{id: 2}),
		}},
		{desc: "no invocation", announced: []ptrace.Traces{inTrace(1, 0, spec{id: 1})}},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			tracker, back := New(""), newTaken()
			for _, td := range tc.announced {
				tracker.Observe(td, back.sink)
			}
			open := tracker.Len()
			if n := tracker.EndInvocation("a", time.Unix(0, 500), "timeout", "m"); n != len(tc.wantEnded) || tracker.Len() != open-n {
				t.Errorf("ended %d, %d of %d are open", n, tracker.Len(), open)
			}
			var ended []byte
			for _, rs := range back.ResourceSpans().All() {
				ended = append(ended, rs.ScopeSpans().At(0).Spans().At(0).SpanID()[0])
			}
			if !bytes.Equal(ended, tc.wantEnded) {
				t.Errorf("ended %v, want %v", ended, tc.wantEnded)
			}
			tracker.End(time.Unix(0, 600), "environment_ended", "m")
			if tracker.Len() != 0 || back.SpanCount() != open {
				t.Errorf("at the end %d are open, %d given back", tracker.Len(), back.SpanCount())
			}
		})
	}
}

func TestTrackerKnowsTheSpanOfAnInvocation(t *testing.T) {
	tracker, back := New(""), newTaken()
	tracker.Observe(traces(spec{id: 1, invocation: "request"}), back.sink)
	root, ok := tracker.Root("request")
	if !ok || root.SpanID != (pcommon.SpanID{1}) || root.ParentID != (pcommon.SpanID{9}) {
		t.Errorf("root %+v", root)
	}
	if _, ok := tracker.Root("another"); ok {
		t.Error("an invocation that was never seen is known")
	}
	for i := range 2 * maxSeen {
		tracker.Observe(traces(spec{id: 2, end: 200, invocation: time.Unix(int64(i), 0).String()}), back.sink)
	}
	if len(tracker.roots) > maxSeen || len(tracker.seen) > maxSeen {
		t.Errorf("%d invocations are remembered", len(tracker.roots))
	}
}

func TestTrackerIsBounded(t *testing.T) {
	tracker, back := New(""), newTaken()
	for i := range maxOpen + 10 {
		td := traces(spec{id: 1})
		td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).SetTraceID(pcommon.TraceID{byte(i), byte(i >> 8), 1})
		tracker.Observe(td, back.sink)
	}
	if tracker.Len() != maxOpen {
		t.Errorf("%d are open", tracker.Len())
	}
}

func TestTrackerOutlivesItsProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "open-spans")
	tracker, back := New(path), newTaken()
	tracker.Observe(traces(spec{id: 1}, spec{id: 2}, spec{id: 3}), back.sink)
	tracker.Observe(traces(spec{id: 2, end: 200}), back.sink)
	tracker.Close()

	// A process that ends before it has a pipeline leaves them to the one after it.
	New(path).Close()
	next := New(path)
	defer next.Close()
	next.Attach(back.sink)
	if back.SpanCount() != 2 || next.Len() != 0 {
		t.Errorf("%d given back, %d open", back.SpanCount(), next.Len())
	}
	if span := back.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0); span.EndTimestamp() == 0 || span.Status().Code() != ptrace.StatusCodeError {
		t.Errorf("given back with end %d and %v", span.EndTimestamp(), span.Status().Code())
	}
	next.Attach(func(ptrace.Traces) error { t.Error("given back twice"); return nil })
	next.Observe(traces(spec{id: 4}), back.sink)
	next.Observe(traces(spec{id: 4, end: 200}), back.sink)
	after := New(path)
	defer after.Close()
	after.Attach(func(ptrace.Traces) error { t.Error("a span that has ended is given back"); return nil })
}

func TestTrackerSurvivesADamagedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "open-spans")
	for _, content := range [][]byte{{1}, {1, 2, 3, 4, 5, 6}, make([]byte, 100), bytes.Repeat([]byte{0xff}, 100)} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		tracker, back := New(path), newTaken()
		tracker.Attach(back.sink)
		if back.SpanCount() != 0 {
			t.Errorf("%d spans from damage", back.SpanCount())
		}
		tracker.Observe(traces(spec{id: 1}), back.sink)
		tracker.Close()
		next := New(path)
		next.Attach(back.sink)
		next.Close()
		if back.SpanCount() != 1 {
			t.Errorf("then %d spans", back.SpanCount())
		}
	}
}
