package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Outcome of one delivery.
type Outcome struct {
	Verdict Verdict
	// RetryAfter is what the backend asked for with a Retry verdict; zero leaves it to the lane.
	RetryAfter time.Duration
	// Err says what was wrong.
	Err error
}

// ErrWaiting says that a lane does not try before its back-off is over.
var ErrWaiting = errors.New("waiting before the next try")

const (
	firstBackOff = 500 * time.Millisecond
	maxBackOff   = 30 * time.Second
)

// Lane is the part of an outbox that belongs to one pipeline.
type Lane[T any] struct {
	box    *Outbox
	name   string
	signal Signal
	codec  Codec[T]
	send   func(context.Context, T) Outcome

	sending chan struct{} // holds a token while a flush runs

	mu        sync.Mutex
	queue     []item[T]
	limit     int // of a request, in bytes: what the backend was found to take
	delivered int // in a row, since limit changed
	failures  int
	notBefore time.Time
	asked     bool // notBefore was asked for by the backend
}

// item is one or several puts that are sent together.
type item[T any] struct {
	seqs    []uint64 // in the spool; none if it is in memory only
	payload T
	cached  bool // payload is there, otherwise it must be read from the spool
	size    int  // encoded
	count   int
	puts    int
	isPart  bool // its place in the spool, if any, holds more or less than its payload
	// divisions is how often the refused request of which this is a part may still be divided; nil if it is of none.
	divisions *int
}

// Register makes a lane. Send delivers one payload and must not keep it.
func Register[T any](box *Outbox, name string, signal Signal, codec Codec[T], send func(context.Context, T) Outcome) *Lane[T] {
	l := &Lane[T]{box: box, name: name, signal: signal, codec: codec, send: send, sending: make(chan struct{}, 1), limit: box.opts.RequestBytes}
	box.add(l)
	return l
}

func (l *Lane[T]) key() (string, Signal) { return l.name, l.signal }

// Put takes a payload over, and returns once it is as safe as it can be made. It never blocks on a backend.
func (l *Lane[T]) Put(payload T) error {
	request, err := l.codec.Encode(payload)
	if err != nil {
		return fmt.Errorf("encode %s: %w", l.signal, err)
	}
	count := l.codec.Count(payload)
	c := &l.box.counts[l.signal]
	c.accepted.Add(int64(count))
	it := item[T]{payload: payload, cached: true, size: len(request), count: count, puts: 1}
	if seq, ok := l.store(request); ok {
		c.spooled.Add(int64(count))
		it.seqs = []uint64{seq}
	} else {
		c.atRisk.Add(int64(count))
	}
	l.enqueue(it)
	return nil
}

func (l *Lane[T]) store(request []byte) (seq uint64, ok bool) {
	if l.box.spool == nil {
		return 0, false
	}
	// What is dropped to make room is counted when its turn comes: it may still be in memory and be delivered.
	seq, err := l.box.spool.Append(frame(l.name, l.signal, request))
	return seq, err == nil
}

func (l *Lane[T]) enqueue(it item[T]) {
	var none T
	over := l.box.cached.Add(int64(it.size)) > l.box.opts.MemoryBytes
	l.box.pending.Add(int64(it.size))
	if over && len(it.seqs) == 0 {
		over = !l.box.uncache()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if over && len(it.seqs) > 0 {
		it.payload, it.cached = none, false
		l.box.cached.Add(-int64(it.size))
	} else if over {
		l.dropOldestInMemory(it.size)
	}
	l.queue = append(l.queue, it)
}

// uncache lets go of payloads that can be read from the spool again, the youngest first since they are sent last.
func (l *Lane[T]) uncache(excess int64) {
	var none T
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.queue) - 1; i >= 0 && excess > 0; i-- {
		it := &l.queue[i]
		if !it.cached || l.isBusy(i) || !l.isInSpool(it) {
			continue
		}
		it.payload, it.cached = none, false
		l.box.cached.Add(-int64(it.size))
		excess -= int64(it.size)
	}
}

// isInSpool reports whether the spool holds just this payload, and has not dropped it to make room.
func (l *Lane[T]) isInSpool(it *item[T]) bool {
	return len(it.seqs) == 1 && it.puts == 1 && !it.isPart && l.box.spool != nil && l.box.spool.Holds(it.seqs[0])
}

// isBusy reports whether an item may be being sent.
func (l *Lane[T]) isBusy(index int) bool { return index == 0 && len(l.sending) > 0 }

// dropOldestInMemory makes room for a payload that has no place in the spool, at the cost of its elders of the same
// kind. The head is spared while it is being sent, and so is a part, which may stand in the spool with the others.
func (l *Lane[T]) dropOldestInMemory(size int) {
	kept := l.queue[:0]
	for i, it := range l.queue {
		if size > 0 && len(it.seqs) == 0 && !it.isPart && !l.isBusy(i) {
			size -= it.size
			l.discard(it)
			l.box.counts[l.signal].lost.Add(int64(it.count))
			continue
		}
		kept = append(kept, it)
	}
	clear(l.queue[len(kept):])
	l.queue = kept
}

func (l *Lane[T]) discard(it item[T]) {
	l.box.pending.Add(-int64(it.size))
	if it.cached {
		l.box.cached.Add(-int64(it.size))
	}
}

// adopt takes over what an earlier process left in the spool.
func (l *Lane[T]) adopt(seq uint64) {
	payload, size, err := l.read(seq)
	if err != nil {
		l.box.damaged.Add(1)
		_ = l.box.spool.Ack(seq)
		return
	}
	count := l.codec.Count(payload)
	l.box.counts[l.signal].replayed.Add(int64(count))
	l.enqueue(item[T]{seqs: []uint64{seq}, payload: payload, cached: true, size: size, count: count, puts: 1})
}

// read gets a payload from the spool, and the size of its encoding.
func (l *Lane[T]) read(seq uint64) (payload T, size int, err error) {
	record, err := l.box.spool.Read(seq)
	if err != nil {
		return payload, 0, err
	}
	_, _, request, err := unframe(record)
	if err != nil {
		return payload, 0, err
	}
	payload, err = l.codec.Decode(request)
	return payload, len(request), err
}

// flush sends from the head of the queue. One flush runs at a time; a second one waits for it.
func (l *Lane[T]) flush(ctx context.Context) error {
	if l.isEmpty() {
		return nil
	}
	select {
	case l.sending <- struct{}{}:
		defer func() { <-l.sending }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if l.isWaiting() {
			return ErrWaiting
		}
		it, ok := l.next()
		if !ok {
			return nil
		}
		if err := l.settle(it, l.send(ctx, it.payload)); err != nil {
			return err
		}
	}
}

// next merges the oldest items into one of the size of a request and leaves it at the head of the queue.
func (l *Lane[T]) next() (head item[T], ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := 0
	for taken < len(l.queue) {
		it := l.queue[taken]
		if ok && (head.size+it.size > l.limit || head.divisions != nil || it.divisions != nil) {
			break
		}
		taken++
		if !l.load(&it) {
			continue
		}
		if !ok {
			head, ok = it, true
			continue
		}
		l.codec.Merge(head.payload, it.payload)
		head.seqs = append(head.seqs, it.seqs...)
		head.size += it.size
		head.count += it.count
		head.puts += it.puts
		head.isPart = head.isPart || it.isPart
	}
	if !ok {
		clear(l.queue)
		l.queue = l.queue[:0]
		return head, false
	}
	clear(l.queue[1:taken])
	l.queue = append(l.queue[:1], l.queue[taken:]...)
	l.queue[0] = head
	return head, true
}

// load makes sure that an item's payload is in memory. What cannot be read any more is lost, and counted.
func (l *Lane[T]) load(it *item[T]) bool {
	if it.cached {
		return true
	}
	if payload, _, err := l.read(it.seqs[0]); err == nil {
		it.payload, it.cached = payload, true
		l.box.cached.Add(int64(it.size))
		return true
	}
	l.discard(*it)
	l.box.counts[l.signal].lost.Add(int64(it.count))
	_ = l.box.spool.Ack(it.seqs...)
	return false
}

func (l *Lane[T]) isEmpty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) == 0
}

func (l *Lane[T]) isWaiting() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.box.opts.Now().Before(l.notBefore)
}

// forgive ends the lane's own back-off; what the backend asked for still holds.
func (l *Lane[T]) forgive() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = 0
	if !l.asked {
		l.notBefore = time.Time{}
	}
}

// leftover visits items from the head of the queue until it has visited limit bytes. What cannot be read any more is
// taken out.
func (l *Lane[T]) leftover(limit int, visit func([]byte) error) (visited, size int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for visited < len(l.queue) && size < limit {
		it := &l.queue[visited]
		if !l.load(it) {
			l.queue = slices.Delete(l.queue, visited, visited+1)
			continue
		}
		request, err := l.codec.Encode(it.payload)
		if err != nil {
			return visited, size, err
		}
		if err := visit(request); err != nil {
			return visited, size, err
		}
		visited++
		size += len(request)
	}
	return visited, size, nil
}

// handedOver takes what leftover visited off the queue.
func (l *Lane[T]) handedOver(visited int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, it := range l.queue[:visited] {
		l.discard(it)
		l.box.counts[l.signal].handedOver.Add(int64(it.count))
		if len(it.seqs) > 0 {
			_ = l.box.spool.Ack(it.seqs...)
		}
	}
	l.queue = slices.Delete(l.queue, 0, visited)
}
