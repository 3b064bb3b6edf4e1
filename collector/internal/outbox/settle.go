package outbox

import (
	"errors"
	"math/bits"
	"time"

	"neuro-preprocess/collector/internal/spool"
)

// deliveriesToGrow in a row make a lane try larger requests again, up to the bound it began with.
const deliveriesToGrow = 8

// settle draws the consequence of a delivery.
func (l *Lane[T]) settle(it item[T], out Outcome) error {
	c := &l.box.counts[l.signal]
	switch out.Verdict {
	case Delivered:
		c.sent.Add(int64(it.count))
		l.finish(it)
		l.succeed()
		return nil
	case TooLarge:
		if size, ok := l.splitHead(it); ok {
			l.shrink(size)
			return nil
		}
		fallthrough
	case Refused:
		if l.divideRefused(it) {
			return nil
		}
		c.refused.Add(int64(it.count))
		l.keepRefused(it.payload)
		l.finish(it)
		return nil
	default:
		l.fail(out.RetryAfter)
		if out.Err == nil {
			return ErrWaiting
		}
		return out.Err
	}
}

// finish takes the head off the queue.
func (l *Lane[T]) finish(it item[T]) {
	l.mu.Lock()
	l.discard(l.queue[0])
	clear(l.queue[:1])
	l.queue = l.queue[1:]
	l.mu.Unlock()
	if len(it.seqs) > 0 {
		// If this is not written, the worst is a second delivery by a later process.
		_ = l.box.spool.Ack(it.seqs...)
	}
}

// splitHead divides the head in two and returns the size of the first part. The head's place in the spool goes with
// the second: should the process end between the two, the first is delivered twice rather than the second not at all.
func (l *Lane[T]) splitHead(it item[T]) (size int, ok bool) {
	half, ok := l.codec.Split(it.payload)
	if !ok {
		return 0, false
	}
	it.isPart = true
	first := item[T]{payload: half, cached: true, isPart: true, divisions: it.divisions}
	first.size, first.count, first.puts = it.size/2, l.codec.Count(half), max(it.puts/2, 1)
	it.size -= first.size
	it.count -= first.count
	it.puts = max(it.puts-first.puts, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append([]item[T]{first, it}, l.queue[1:]...)
	return first.size, true
}

// divideRefused divides a refused request that was merged of several puts: the backend may mind a single span, and
// the others are not to go with it. What was put as one is refused as one. The parts share a number of divisions that
// is enough to find one offender, and grows with the puts; a backend that refuses everything uses it up, and no more.
func (l *Lane[T]) divideRefused(it item[T]) bool {
	if it.divisions == nil {
		if it.puts < 2 {
			return false
		}
		divisions := it.puts + bits.Len(uint(it.count))
		it.divisions = &divisions
	}
	if *it.divisions == 0 {
		return false
	}
	_, ok := l.splitHead(it)
	if ok {
		*it.divisions--
	}
	return ok
}

// keepRefused keeps a copy for inspection, in as many pieces as it takes to fit. A copy that is lost is no loss of
// telemetry that could still be delivered.
func (l *Lane[T]) keepRefused(payload T) {
	request, err := l.codec.Encode(payload)
	if err != nil {
		return
	}
	if err := l.box.keepRefused(l.name, l.signal, request); !errors.Is(err, spool.ErrTooLarge) {
		return
	}
	if half, ok := l.codec.Split(payload); ok {
		l.keepRefused(half)
		l.keepRefused(payload)
	}
}

// shrink learns from a request that was too large.
func (l *Lane[T]) shrink(size int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit, l.delivered = max(min(l.limit, size), 1), 0
}

func (l *Lane[T]) succeed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures, l.notBefore, l.asked = 0, time.Time{}, false
	if l.delivered++; l.delivered >= deliveriesToGrow {
		l.limit, l.delivered = min(2*l.limit, l.box.opts.RequestBytes), 0
	}
}

func (l *Lane[T]) fail(asked time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures++
	l.asked = asked > 0
	wait := asked
	if !l.asked {
		wait = min(firstBackOff<<min(l.failures-1, 10), maxBackOff)
	}
	l.notBefore = l.box.opts.Now().Add(wait)
}
