package platformreceiver

import (
	"context"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"neuro-preprocess/collector/internal/openspans"
)

// batch is what events were turned into; it is emitted without the monitor's lock, since consumers may be slow.
type batch struct {
	notes  []openspans.Note
	traces []ptrace.Traces
	logs   []plog.Logs
}

func (b *batch) emit(m *Monitor) {
	m.mu.Lock()
	leftOpen, traces, logs := m.leftOpen, m.traces, m.logs
	m.mu.Unlock()
	for _, note := range b.notes {
		if leftOpen.ConsumeTraces(context.Background(), note.Spans) == nil {
			note.Remove()
		}
		m.mu.Lock()
		delete(m.ending, note.File) // one that was refused may be taken later
		m.mu.Unlock()
	}
	for _, td := range b.traces {
		if traces != nil && td.SpanCount() > 0 {
			_ = traces.ConsumeTraces(context.Background(), td)
		}
	}
	for _, ld := range b.logs {
		if logs != nil {
			_ = logs.ConsumeLogs(context.Background(), ld)
		}
	}
	*b = batch{}
}
