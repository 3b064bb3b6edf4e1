package platformreceiver

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"neuro-preprocess/collector/internal/lambdatest"
	"neuro-preprocess/collector/internal/platform"
)

// at gives an event a time of its own.
func at(seconds int64, e platform.Event) platform.Event {
	e.Time = time.Unix(seconds, 0)
	return e
}

func start(requestID string) platform.Event {
	return event(platform.TypeStart, map[string]any{"requestId": requestID})
}

func done(requestID, status string) platform.Event {
	return event(platform.TypeRuntimeDone, map[string]any{"requestId": requestID, "status": status})
}

// ended are the spans that were left open and ended, each with its error.
func (s *sinks) ended() []string {
	var names []string
	for _, td := range s.open.AllTraces() {
		for _, span := range td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
			errorType, _ := span.Attributes().Get("error.type")
			names = append(names, span.Name()+" "+errorType.Str())
		}
	}
	return names
}

// sums are the counters of all reports so far.
func (s *sinks) sums() map[string]float64 {
	total := map[string]float64{}
	for _, md := range s.metrics.AllMetrics() {
		for name, metric := range byName(md) {
			if _, isCounter := counters[name]; isCounter {
				total[name] += metric.Sum().DataPoints().At(0).DoubleValue()
			}
		}
	}
	return total
}

func TestALateFailureEndsTheSpansOfItsOwnInvocation(t *testing.T) {
	m, s, open := newMonitor(t, Function{Name: "f"})
	m.Invoked("a", time.Time{})
	lambdatest.NoteOpen(t, open, "1-a", "a", lambdatest.OpenSpans("a", 1, "root of a"))
	m.Invoked("b", time.Time{})
	lambdatest.NoteOpen(t, open, "2-b", "b", lambdatest.OpenSpans("b", 2, "root of b"))
	m.Deliver([]platform.Event{done("a", platform.StatusTimeout)})
	if got := s.ended(); !slices.Equal(got, []string{"root of a timeout"}) {
		t.Errorf("ended %q", got)
	}
	if s.traces.SpanCount() != 0 {
		t.Error("a root span was made up beside the one that was noted")
	}

	// One that showed no span gets one, whatever others have open.
	m.Deliver([]platform.Event{at(90, start("c")), at(95, done("c", platform.StatusFailure))})
	if s.traces.SpanCount() != 1 || len(s.ended()) != 1 {
		t.Fatalf("%d root spans, ended %q", s.traces.SpanCount(), s.ended())
	}
	span := s.traces.AllTraces()[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	if span.StartTimestamp().AsTime().Unix() != 90 || span.EndTimestamp().AsTime().Unix() != 95 {
		t.Errorf("the root span is from %v to %v", span.StartTimestamp().AsTime(), span.EndTimestamp().AsTime())
	}
}

func TestAnInvocationIsCountedOnce(t *testing.T) {
	for _, tc := range []struct {
		desc   string
		run    func(t *testing.T, m *Monitor)
		reason string
		want   map[string]float64
	}{
		{desc: "told twice", reason: "spindown", want: map[string]float64{metricInvocations: 1}, run: func(_ *testing.T, m *Monitor) {
			m.Invoked("a", time.Time{})
			m.Deliver([]platform.Event{done("a", platform.StatusSuccess), done("a", platform.StatusSuccess)})
		}},
		{desc: "told twice, the next begun between", reason: "spindown", want: map[string]float64{metricInvocations: 2, metricErrors: 1}, run: func(_ *testing.T, m *Monitor) {
			m.Invoked("a", time.Time{})
			m.Deliver([]platform.Event{done("a", platform.StatusFailure)})
			m.Invoked("b", time.Time{})
			m.Deliver([]platform.Event{done("a", platform.StatusFailure), done("b", platform.StatusSuccess)})
		}},
		{desc: "its end is told before its begin", reason: "timeout", want: map[string]float64{metricInvocations: 1, metricTimeouts: 1}, run: func(_ *testing.T, m *Monitor) {
			m.Deliver([]platform.Event{done("a", platform.StatusTimeout)})
			m.Invoked("a", time.Time{})
		}},
		{desc: "by the platform, then by the reason", reason: "timeout", want: map[string]float64{metricInvocations: 1, metricTimeouts: 1}, run: func(_ *testing.T, m *Monitor) {
			m.Invoked("a", time.Time{})
			m.Deliver([]platform.Event{done("a", platform.StatusTimeout)})
		}},
		{desc: "by the reason, then by the platform", reason: "timeout", want: map[string]float64{metricInvocations: 1, metricTimeouts: 1}, run: func(t *testing.T, m *Monitor) {
			m.Invoked("a", time.Time{})
			m.ShuttingDown(t.Context(), "timeout")
			m.Deliver([]platform.Event{done("a", platform.StatusTimeout)})
		}},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			m, s, _ := newMonitor(t, Function{})
			tc.run(t, m)
			m.ShuttingDown(t.Context(), tc.reason)
			got := s.sums()
			for _, name := range []string{metricInvocations, metricErrors, metricTimeouts} {
				if got[name] != tc.want[name] {
					t.Errorf("%s is %v, want %v", name, got[name], tc.want[name])
				}
			}
		})
	}
}

func TestALateStartDoesNotTakeTheMonitorBack(t *testing.T) {
	for _, tc := range []struct {
		desc  string
		begin func(m *Monitor)
		want  string
	}{
		{desc: "known by its INVOKE", want: "b", begin: func(m *Monitor) {
			m.Invoked("a", time.Time{})
			m.Invoked("b", time.Time{})
			m.Deliver([]platform.Event{at(100, start("a"))})
		}},
		{desc: "not known before", want: "b", begin: func(m *Monitor) {
			m.Deliver([]platform.Event{at(110, start("b")), at(100, start("a"))})
		}},
		{desc: "its end came before it", want: "a", begin: func(m *Monitor) {
			m.Deliver([]platform.Event{at(101, done("a", platform.StatusSuccess)), at(100, start("a"))})
		}},
		{desc: "in order", want: "b", begin: func(m *Monitor) {
			m.Deliver([]platform.Event{at(100, start("a")), at(110, start("b"))})
		}},
		{desc: "its time could not be read", want: "b", begin: func(m *Monitor) {
			m.Invoked("a", time.Time{})
			m.Invoked("b", time.Time{})
			late := start("a")
			late.Time = time.Time{}
			m.Deliver([]platform.Event{late})
		}},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			m, s, _ := newMonitor(t, Function{})
			tc.begin(m)
			m.Deliver([]platform.Event{event(platform.TypeFunction, "a line")})
			record := s.logs.AllLogs()[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
			if id, _ := record.Attributes().Get("faas.invocation_id"); id.Str() != tc.want {
				t.Errorf("a line is of %q, want %q", id.Str(), tc.want)
			}
		})
	}
}

func TestTheMemoryOfInvocationsIsBounded(t *testing.T) {
	var known invocations
	first := known.of("0")
	for i := range maxKnown {
		known.of(fmt.Sprint(i))
	}
	if known.of("0") != first {
		t.Error("forgotten before there were too many")
	}
	known.of("one too many")
	if len(known.byID) != maxKnown || len(known.order) != maxKnown || known.of("0") == first {
		t.Errorf("%d are remembered", len(known.byID))
	}
}

func TestAColdStartIsTheStartOfAnEnvironment(t *testing.T) {
	for _, tc := range []struct {
		desc, kind, phase string
		want              float64
	}{
		{desc: "a new environment", kind: "on-demand", phase: "init", want: 1},
		{desc: "no phase is told", kind: "on-demand", want: 1},
		{desc: "initialised again within an invocation", kind: "on-demand", phase: "invoke"},
		{desc: "nobody waited for it", kind: "provisioned-concurrency", phase: "init"},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			m, s, _ := newMonitor(t, Function{})
			record := map[string]any{"initializationType": tc.kind}
			if tc.phase != "" {
				record["phase"] = tc.phase
			}
			m.Deliver([]platform.Event{
				event(platform.TypeInitStart, record),
				event(platform.TypeInitRuntimeDone, map[string]any{"status": platform.StatusSuccess}),
			})
			m.ShuttingDown(t.Context(), "spindown")
			if got := s.sums()[metricColdStarts]; got != tc.want {
				t.Errorf("%v cold starts, want %v", got, tc.want)
			}
			span := s.traces.AllTraces()[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
			if isCold, _ := span.Attributes().Get("faas.coldstart"); isCold.Bool() != (tc.want > 0) {
				t.Errorf("the init span says %v", isCold.Bool())
			}
		})
	}
}

func TestAFailureHasOneNameInLambdaAndOnTheEmulator(t *testing.T) {
	for _, reason := range []string{"failure", "releasefail"} {
		m, s, _ := newMonitor(t, Function{})
		m.Invoked("a", time.Time{})
		m.ShuttingDown(t.Context(), reason)
		span := s.traces.AllTraces()[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
		if errorType, _ := span.Attributes().Get("error.type"); errorType.Str() != "failure" || s.sums()[metricErrors] != 1 {
			t.Errorf("%s: error.type %q, %v errors", reason, errorType.Str(), s.sums()[metricErrors])
		}
	}
}

func TestSpansOfOtherInvocationsEndWithTheEnvironment(t *testing.T) {
	for reason, want := range map[string]string{"timeout": "timeout", "failure": "failure", "spindown": "environment_ended"} {
		m, s, open := newMonitor(t, Function{})
		m.Invoked("a", time.Time{})
		lambdatest.NoteOpen(t, open, "1-a", "of another process", lambdatest.OpenSpans("of another process", 1, "root"))
		m.Deliver([]platform.Event{done("a", platform.StatusTimeout)})
		if got := s.ended(); len(got) != 0 {
			t.Errorf("%s: ended with an invocation that they are not of: %q", reason, got)
		}
		m.ShuttingDown(t.Context(), reason)
		if got := s.ended(); !slices.Equal(got, []string{"root " + want}) {
			t.Errorf("%s: ended %q", reason, got)
		}
	}
}
