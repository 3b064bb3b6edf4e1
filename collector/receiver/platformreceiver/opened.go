package platformreceiver

import (
	"time"

	"go.opentelemetry.io/collector/consumer"

	"neuro-preprocess/collector/internal/openspans"
)

// attachLeftOpen makes known where spans go that processes left open, and ends those of processes that were before this
// environment was reset: its reset was their end.
func (m *Monitor) attachLeftOpen(next consumer.Traces) {
	var out batch
	m.mu.Lock()
	m.leftOpen = next
	m.folder.Sweep()
	m.endNoted(ofAny, m.now(), "environment_reset", "the environment was reset before the span ended", &out)
	m.mu.Unlock()
	out.emit(m)
}

func ofAny(openspans.Note) bool { return true }

// endNoted ends the spans that processes have noted, and returns of how many processes. These processes are no more, or
// about to be killed.
func (m *Monitor) endNoted(isMeant func(openspans.Note) bool, at time.Time, errorType, message string, out *batch) int {
	if m.leftOpen == nil {
		return 0
	}
	ended := 0
	for _, note := range m.folder.Notes() {
		if !isMeant(note) {
			continue
		}
		ended++
		if m.ending[note.File] {
			continue
		}
		m.ending[note.File] = true
		note.End(at, errorType, message)
		out.notes = append(out.notes, note)
	}
	return ended
}

// hasSpan reports whether an invocation has a span, or will have one.
func (m *Monitor) hasSpan(inv *invocation) bool {
	if m.roots.Has(inv.requestID) {
		return true
	}
	_, ok := m.notedRoot(inv.requestID)
	return ok
}

// rootOf tells where the span of an invocation stands: as it came, or else as a process has noted it. That is looked for
// once, since whoever asks may ask for each line of a log.
func (m *Monitor) rootOf(inv *invocation) (openspans.Root, bool) {
	if root, ok := m.roots.Of(inv.requestID); ok {
		return root, true
	}
	if !inv.isSought {
		inv.isSought = true
		inv.noted, _ = m.notedRoot(inv.requestID)
	}
	return inv.noted, inv.noted != openspans.Root{}
}

func (m *Monitor) notedRoot(requestID string) (openspans.Root, bool) {
	if m.leftOpen == nil {
		return openspans.Root{}, false
	}
	for _, note := range m.folder.Notes() {
		if root, ok := note.Root(); ok && note.Invocation == requestID {
			return root, true
		}
	}
	return openspans.Root{}, false
}
