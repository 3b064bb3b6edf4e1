package outbox

import (
	"sync/atomic"
	"time"
)

// counters of one signal; all of them only grow.
type counters struct {
	accepted, sent, spooled, atRisk, replayed, handedOver atomic.Int64
	refused, lost                                         atomic.Int64
}

// SignalStats counts spans, data points or log records since the process began.
type SignalStats struct {
	// Accepted were acknowledged to whoever sent them.
	Accepted int64
	// Spooled of them stood in the spool by then; AtRisk did not, for want of room.
	Spooled, AtRisk int64
	// Replayed were found in the spool, left by an earlier process.
	Replayed int64
	// Sent were taken by the backend, HandedOver by the bucket for undelivered telemetry.
	Sent, HandedOver int64
	// Refused were refused by the backend for good, Lost dropped for want of room or damaged.
	Refused, Lost int64
}

// Stats is a snapshot of the outbox.
type Stats struct {
	Signal map[Signal]SignalStats
	// DamagedPlaces in the spool that had to be skipped.
	DamagedPlaces int64
	// PendingBytes wait for delivery.
	PendingBytes int64
	// LastFlush is how long the last flush took.
	LastFlush time.Duration
}

// Lossy reports whether anything was lost or refused.
func (s Stats) Lossy() bool {
	for _, c := range s.Signal {
		if c.Lost > 0 || c.Refused > 0 {
			return true
		}
	}
	return s.DamagedPlaces > 0
}

// Stats returns the counts so far.
func (o *Outbox) Stats() Stats {
	s := Stats{Signal: make(map[Signal]SignalStats, len(Signals))}
	for _, signal := range Signals {
		c := &o.counts[signal]
		s.Signal[signal] = SignalStats{
			Accepted: c.accepted.Load(), Spooled: c.spooled.Load(), AtRisk: c.atRisk.Load(), Replayed: c.replayed.Load(),
			Sent: c.sent.Load(), HandedOver: c.handedOver.Load(), Refused: c.refused.Load(), Lost: c.lost.Load(),
		}
	}
	s.DamagedPlaces = o.damaged.Load()
	s.PendingBytes = o.PendingBytes()
	s.LastFlush = time.Duration(o.lastFlush.Load())
	return s
}
