package platformreceiver

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"neuro-preprocess/collector/internal/lambdatest"
	"neuro-preprocess/collector/internal/platform"
)

func TestSpansOfBeforeAResetEndWithIt(t *testing.T) {
	open := t.TempDir()
	before, _ := newMonitorOver(t, Function{}, open)
	before.Invoked("a", time.Time{})
	lambdatest.NoteOpen(t, open, "1-a", "a", lambdatest.OpenSpans("a", 1, "root", "child"))
	lambdatest.NoteOpen(t, open, "2-b", "b", lambdatest.OpenSpans("b", 2, "root of one that is over"))
	lambdatest.NoteOpen(t, open, "2-b", "b", ptrace.NewTraces())

	_, s := newMonitorOver(t, Function{}, open)
	want := []string{"root environment_reset", "child environment_reset"}
	if got := s.ended(); !slices.Equal(got, want) {
		t.Errorf("ended %q", got)
	}
	_, s = newMonitorOver(t, Function{}, open)
	if got := s.ended(); len(got) != 0 {
		t.Errorf("ended again: %q", got)
	}
}

func TestSpansEndOnceHoweverOftenTheirEndIsTold(t *testing.T) {
	m, s, open := newMonitor(t, Function{})
	m.Invoked("a", time.Time{})
	lambdatest.NoteOpen(t, open, "1-a", "a", lambdatest.OpenSpans("a", 1, "root", "child"))
	m.Deliver([]platform.Event{done("a", platform.StatusFailure), done("a", platform.StatusFailure)})
	m.ShuttingDown(t.Context(), "failure")
	if got := s.ended(); !slices.Equal(got, []string{"root failure", "child failure"}) {
		t.Errorf("ended %q", got)
	}
	if s.traces.SpanCount() != 0 {
		t.Error("a root span was made up, too")
	}
}

func TestAnInvocationThatWasHandedOverHasItsSpan(t *testing.T) {
	for _, status := range []string{platform.StatusError, platform.StatusFailure} {
		m, s, open := newMonitor(t, Function{})
		m.Invoked("a", time.Time{})
		lambdatest.NoteOpen(t, open, "1-a", "a", ptrace.NewTraces())
		m.roots.HandedOver("a") // a sampler may have left its span out
		m.Deliver([]platform.Event{done("a", status)})
		m.ShuttingDown(t.Context(), "spindown")
		if got := s.ended(); len(got) != 0 {
			t.Errorf("%s: ended %q", status, got)
		}
		for _, td := range s.traces.AllTraces() {
			t.Errorf("%s: made up %s", status, td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Name())
		}
	}
}

func TestAHandlerThatRaisesLeavesItsProcessToEndItsSpans(t *testing.T) {
	m, s, open := newMonitor(t, Function{})
	m.Invoked("a", time.Time{})
	lambdatest.NoteOpen(t, open, "1-a", "a", lambdatest.OpenSpans("a", 1, "root", "of a thread"))
	m.Deliver([]platform.Event{done("a", platform.StatusError)})
	if got := s.ended(); len(got) != 0 || s.traces.SpanCount() != 0 {
		t.Errorf("ended %q, %d made up", got, s.traces.SpanCount())
	}
	m.ShuttingDown(t.Context(), "failure") // its process has ended after all
	if got := s.ended(); !slices.Equal(got, []string{"root failure", "of a thread failure"}) || s.traces.SpanCount() != 0 {
		t.Errorf("then ended %q, %d made up", got, s.traces.SpanCount())
	}
}

func TestSpansEndThoughTheirInvocationIsNotKnown(t *testing.T) {
	for _, tc := range []struct{ desc, noted, attribute string }{
		{desc: "its id is no header's text", noted: "", attribute: ""},
		{desc: "a filter hides its id", noted: "a", attribute: "0123"},
	} {
		m, s, open := newMonitor(t, Function{})
		m.Invoked("a", time.Time{})
		lambdatest.NoteOpen(t, open, "1-a", tc.noted, lambdatest.OpenSpans(tc.attribute, 1, "root"))
		m.Deliver([]platform.Event{done("a", platform.StatusTimeout)})
		m.ShuttingDown(t.Context(), "timeout")
		if got := s.ended(); !slices.Equal(got, []string{"root timeout"}) || s.traces.SpanCount() != 0 {
			t.Errorf("%s: ended %q, %d made up", tc.desc, got, s.traces.SpanCount())
		}
	}
}

func TestWhatAPipelineRefusesIsOfferedAgain(t *testing.T) {
	m, s, open := newMonitor(t, Function{})
	refusals := 1
	picky, err := consumer.NewTraces(func(ctx context.Context, td ptrace.Traces) error {
		if refusals--; refusals >= 0 {
			return errors.New("no room")
		}
		return s.open.ConsumeTraces(ctx, td)
	})
	if err != nil {
		t.Fatal(err)
	}
	m.attachLeftOpen(picky)
	m.Invoked("a", time.Time{})
	lambdatest.NoteOpen(t, open, "1-a", "a", lambdatest.OpenSpans("a", 1, "root"))
	m.Deliver([]platform.Event{done("a", platform.StatusTimeout)})
	m.ShuttingDown(t.Context(), "timeout")
	if got := s.ended(); !slices.Equal(got, []string{"root timeout"}) || s.traces.SpanCount() != 0 {
		t.Errorf("ended %q, %d made up", got, s.traces.SpanCount())
	}

	// If it refuses to the end, the next process offers it.
	refusals = 9
	lambdatest.NoteOpen(t, open, "1-a", "b", lambdatest.OpenSpans("b", 1, "another root"))
	m.ShuttingDown(t.Context(), "timeout")
	_, s = newMonitorOver(t, Function{}, open)
	if got := s.ended(); !slices.Equal(got, []string{"another root environment_reset"}) {
		t.Errorf("in the next process: ended %q", got)
	}
}

func TestWithoutAPipelineForThemNotesSayNothing(t *testing.T) {
	m, s, open := newMonitor(t, Function{})
	m.leftOpen = nil
	m.Invoked("a", time.Time{})
	lambdatest.NoteOpen(t, open, "1-a", "a", lambdatest.OpenSpans("a", 1, "root"))
	m.Deliver([]platform.Event{done("a", platform.StatusTimeout)})
	if s.traces.SpanCount() != 1 {
		t.Errorf("%d root spans", s.traces.SpanCount())
	}
}
