package outbox

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"neuro-preprocess/collector/internal/spool"
)

// Options bound an outbox.
type Options struct {
	// Dir is the spool's folder, RefusedDir that of what the backend refused, kept for inspection.
	Dir, RefusedDir string
	// SpoolBytes and RefusedBytes bound the two.
	SpoolBytes, RefusedBytes int64
	// MemoryBytes bounds what is kept decoded, measured by its encoded size.
	MemoryBytes int64
	// RequestBytes is how much is sent in one request.
	RequestBytes int
	// Now is the clock.
	Now func() time.Time
}

// Outbox is safe for use by several goroutines.
type Outbox struct {
	opts    Options
	spool   *spool.Spool // nil if there is none to be had
	refused *spool.Spool

	counts    [len(Signals) + 1]counters
	cached    atomic.Int64
	pending   atomic.Int64
	lastFlush atomic.Int64
	failing   atomic.Bool
	damaged   atomic.Int64

	mu    sync.Mutex
	lanes []drain
	left  []replay // found in the spool, for lanes not there yet
}

// drain is a lane, whatever its payload.
type drain interface {
	key() (name string, signal Signal)
	adopt(seq uint64)
	flush(ctx context.Context) error
	forgive()
	uncache(excess int64)
	leftover(limit int, visit func(request []byte) error) (visited, size int, err error)
	handedOver(visited int)
}

// replay is a record of an earlier process. Its request stays in the spool until its lane is there: there may be more
// of them than a small function has memory.
type replay struct {
	name   string
	signal Signal
	seq    uint64
}

// Open makes an outbox over its spool. Without a spool it still works, in memory: the error says why it must.
func Open(opts Options) (*Outbox, error) {
	o := &Outbox{opts: opts}
	store, damaged, err := spool.Open(opts.Dir, spool.Options{MaxBytes: opts.SpoolBytes, SegmentBytes: opts.SpoolBytes / 8})
	if err != nil {
		return o, fmt.Errorf("telemetry is kept in memory only: %w", err)
	}
	o.spool = store
	o.damaged.Store(int64(damaged))
	err = store.Each(func(seq uint64, record []byte) error {
		name, signal, _, err := unframe(record)
		if err != nil {
			o.damaged.Add(1)
			_ = store.Ack(seq)
			return nil
		}
		o.left = append(o.left, replay{name: name, signal: signal, seq: seq})
		return nil
	})
	if err != nil {
		o.damaged.Add(1)
	}
	refused, _, err := spool.Open(opts.RefusedDir, spool.Options{MaxBytes: opts.RefusedBytes, SegmentBytes: opts.RefusedBytes / 2})
	if err != nil {
		return o, fmt.Errorf("refused telemetry is not kept: %w", err)
	}
	o.refused = refused
	return o, nil
}

// add makes a lane known and gives it what an earlier process left for it. What was left by a pipeline that is not in
// the configuration any more goes to the first lane of its signal when all lanes are there: see Adopt.
func (o *Outbox) add(l drain) {
	name, signal := l.key()
	o.mu.Lock()
	o.lanes = append(o.lanes, l)
	mine, others := o.left[:0:0], o.left[:0:0]
	for _, r := range o.left {
		if r.name == name && r.signal == signal {
			mine = append(mine, r)
		} else {
			others = append(others, r)
		}
	}
	o.left = others
	o.mu.Unlock()
	for _, r := range mine {
		l.adopt(r.seq)
	}
}

// Adopt ends the start: what was left by pipelines that no longer exist goes to another lane of the same signal.
func (o *Outbox) Adopt() {
	o.mu.Lock()
	left, lanes := o.left, o.lanes
	o.left = nil
	o.mu.Unlock()
	for _, r := range left {
		for _, l := range lanes {
			if _, signal := l.key(); signal == r.signal {
				l.adopt(r.seq)
				break
			}
		}
	}
}

// Flush delivers what waits, all lanes at once, until nothing waits, a lane must wait for its backend, or ctx ends.
// It returns nil if nothing waits any more.
func (o *Outbox) Flush(ctx context.Context) error {
	began := o.opts.Now()
	o.mu.Lock()
	lanes := o.lanes
	o.mu.Unlock()
	errs := make([]error, len(lanes))
	var wg sync.WaitGroup
	for i, l := range lanes {
		wg.Go(func() { errs[i] = flushGuarded(ctx, l) })
	}
	wg.Wait()
	o.lastFlush.Store(int64(o.opts.Now().Sub(began)))
	err := errors.Join(errs...)
	o.failing.Store(err != nil)
	return err
}

// flushGuarded makes an error of a panic: in a goroutine of ours it would end the process, and with it the telemetry
// of the other lanes.
func flushGuarded(ctx context.Context, l drain) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			name, _ := l.key()
			err = fmt.Errorf("flush of %s panicked: %v\n%s", name, cause, debug.Stack())
		}
	}()
	return l.flush(ctx)
}

// IsFailing reports whether the last flush left something behind.
func (o *Outbox) IsFailing() bool { return o.failing.Load() }

// PendingBytes is the encoded size of what waits.
func (o *Outbox) PendingBytes() int64 { return o.pending.Load() }

// Forgive ends all back-off, for the moment after a thaw: what was wrong may be long over.
func (o *Outbox) Forgive() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range o.lanes {
		l.forgive()
	}
}

// Leftover visits the encoded form of what waits, a lane's oldest first, until it has visited about limit bytes. No
// flush may run meanwhile. To call forget is to say that somebody else delivers what was visited.
func (o *Outbox) Leftover(limit int, visit func(Signal, []byte) error) (forget func(), err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	visited := make([]int, len(o.lanes))
	for i, l := range o.lanes {
		if limit <= 0 {
			break
		}
		_, signal := l.key()
		count, size, err := l.leftover(limit, func(request []byte) error { return visit(signal, request) })
		if err != nil {
			return nil, err
		}
		visited[i] = count
		limit -= size
	}
	lanes := o.lanes
	return func() {
		for i, count := range visited {
			lanes[i].handedOver(count)
		}
	}, nil
}

// Refusals visits what backends refused and is still kept.
func (o *Outbox) Refusals(visit func(Signal, []byte) error) error {
	if o.refused == nil {
		return nil
	}
	return o.refused.Each(func(_ uint64, payload []byte) error {
		_, signal, request, err := unframe(payload)
		if err != nil {
			return nil
		}
		return visit(signal, request)
	})
}

// ForgetRefusals forgets what Refusals visited.
func (o *Outbox) ForgetRefusals() error {
	if o.refused == nil {
		return nil
	}
	return o.refused.Clear()
}

// Close leaves what waits to the next process.
func (o *Outbox) Close() {
	for _, s := range []*spool.Spool{o.spool, o.refused} {
		if s != nil {
			s.Close()
		}
	}
}

// uncache lets go of payloads that stand in the spool until what is in memory is within its bound, and reports whether
// it is. No lane may be locked by the caller.
func (o *Outbox) uncache() bool {
	o.mu.Lock()
	lanes := o.lanes
	o.mu.Unlock()
	for _, l := range lanes {
		if excess := o.cached.Load() - o.opts.MemoryBytes; excess > 0 {
			l.uncache(excess)
		}
	}
	return o.cached.Load() <= o.opts.MemoryBytes
}

func (o *Outbox) keepRefused(name string, signal Signal, request []byte) error {
	if o.refused == nil {
		return nil
	}
	_, err := o.refused.Append(frame(name, signal, request))
	return err
}

var errFrame = errors.New("spool record is not a framed request")

// frame is what a spool record holds: the signal, the lane's name and the request.
func frame(name string, signal Signal, request []byte) []byte {
	name = name[:min(len(name), 255)]
	out := make([]byte, 0, 2+len(name)+len(request))
	out = append(out, byte(signal), byte(len(name)))
	out = append(out, name...)
	return append(out, request...)
}

func unframe(record []byte) (name string, signal Signal, request []byte, err error) {
	if len(record) < 2 || len(record) < 2+int(record[1]) {
		return "", 0, nil, errFrame
	}
	signal = Signal(record[0])
	if signal < Traces || signal > Logs {
		return "", 0, nil, errFrame
	}
	end := 2 + int(record[1])
	return string(record[2:end]), signal, record[end:], nil
}
