package platformreceiver

import (
	"time"

	"go.opentelemetry.io/collector/consumer"

	"neuro-preprocess/collector/internal/openspans"
)

// attachNoted makes known where spans go that processes left open, and ends those of processes that were before this
// environment was reset: its reset was their end.
func (m *Monitor) attachNoted(next consumer.Traces) {
	var out batch
	m.mu.Lock()
	m.noted = next
	m.endNoted(func(openspans.Note) bool { return true }, m.now(), "environment_reset", "the environment was reset before the span ended", &out)
	m.mu.Unlock()
	out.emit(m)
}

// endNoted ends what processes of a function left open. They are no more: those that live end their spans themselves.
func (m *Monitor) endNoted(isMeant func(openspans.Note) bool, at time.Time, errorType, message string, out *batch) {
	for _, note := range m.open.Notes() {
		if note.IsOver || m.taken[note.File] || !isMeant(note) {
			continue
		}
		m.taken[note.File] = true
		note.End(at, errorType, message)
		out.notes = append(out.notes, note)
	}
}

// rootOf tells where the span of an invocation stands: as it came, or else as a process noted it while it was open.
func (m *Monitor) rootOf(inv *invocation) (openspans.Root, bool) {
	if root, ok := m.roots.Of(inv.requestID); ok {
		return root, true
	}
	if inv.noted != nil {
		return *inv.noted, true
	}
	for _, note := range m.open.Notes() {
		if root, ok := note.Root(); ok && note.Invocation == inv.requestID {
			inv.noted = &root
			return root, true
		}
	}
	return openspans.Root{}, false
}
