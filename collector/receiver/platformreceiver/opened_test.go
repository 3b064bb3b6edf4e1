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
	before.open.Over("b")

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

func TestAnInvocationThatIsOverHasItsSpan(t *testing.T) {
	for _, reason := range []string{"spindown", "failure"} {
		m, s, open := newMonitor(t, Function{})
		m.Invoked("a", time.Time{})
		lambdatest.NoteOpen(t, open, "1-a", "a", lambdatest.OpenSpans("a", 1, "root"))
		m.open.Over("a") // its span may have been left out by a sampler
		m.ShuttingDown(t.Context(), reason)
		if got := s.ended(); len(got) != 0 || s.traces.SpanCount() != 0 {
			t.Errorf("%s: ended %q, %d made up", reason, got, s.traces.SpanCount())
		}
	}
}

func TestWhatNoPipelineTakesStaysForTheNextProcess(t *testing.T) {
	m, _, open := newMonitor(t, Function{})
	full, err := consumer.NewTraces(func(context.Context, ptrace.Traces) error { return errors.New("no room") })
	if err != nil {
		t.Fatal(err)
	}
	m.attachNoted(full)
	m.Invoked("a", time.Time{})
	lambdatest.NoteOpen(t, open, "1-a", "a", lambdatest.OpenSpans("a", 1, "root"))
	m.Deliver([]platform.Event{done("a", platform.StatusTimeout)})
	m.ShuttingDown(t.Context(), "timeout")

	_, s := newMonitorOver(t, Function{}, open)
	if got := s.ended(); !slices.Equal(got, []string{"root environment_reset"}) {
		t.Errorf("ended %q", got)
	}
}
