package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"neuro-preprocess/collector/internal/lambdaapi"
)

// world is what a manager lives in. Its time is the bubble's of package synctest.
type world struct {
	*Manager
	events chan lambdaapi.Event
	nexts  chan struct{}
	done   chan error

	mu      sync.Mutex
	log     []string
	pending int64
	failing bool
	flush   func(context.Context) error
	thawed  []time.Duration
	warned  []string
}

func newWorld(t *testing.T, change func(*Manager)) *world {
	w := &world{
		events: make(chan lambdaapi.Event), nexts: make(chan struct{}, 100), done: make(chan error, 1),
		flush: func(context.Context) error { return nil },
	}
	w.Manager = &Manager{
		Settings: DefaultSettings(), API: w, Outbox: w, Watcher: w, Ends: NewEnds(),
		Cadence: Cadence{Frequent: 10 * time.Second, WarmUp: 3}, HasPlatformEvents: true,
		Warn: w.warn,
	}
	if change != nil {
		change(w.Manager)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		w.done <- w.Run(ctx)
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		time.Sleep(time.Minute) // for what runs in the background
	})
	<-w.nexts
	return w
}

func (w *world) Next(ctx context.Context) (lambdaapi.Event, error) {
	w.nexts <- struct{}{}
	select {
	case event := <-w.events:
		return event, nil
	case <-ctx.Done():
		return lambdaapi.Event{}, ctx.Err()
	}
}

func (w *world) Flush(ctx context.Context) error {
	w.note("flush")
	w.mu.Lock()
	flush := w.flush
	w.mu.Unlock()
	err := flush(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failing = err != nil
	return err
}

func (w *world) flushWith(flush func(context.Context) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flush = flush
}

func (w *world) PendingBytes() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pending
}

func (w *world) IsFailing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failing
}

func (w *world) Forgive()                                 { w.note("forgive") }
func (w *world) Invoked(string, time.Time)                {}
func (w *world) BeforeFlush()                             {}
func (w *world) Thawed(pause time.Duration)               { w.thawed = append(w.thawed, pause) }
func (w *world) ShuttingDown(_ context.Context, r string) { w.note("shutting down: " + r) }
func (w *world) note(what string)                         { w.mu.Lock(); defer w.mu.Unlock(); w.log = append(w.log, what) }
func (w *world) invoke(id string, timeout time.Duration)  { w.events <- invocation(id, timeout) }
func (w *world) flushes() (n int)                         { return w.count("flush") }

func (w *world) warn(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.warned = append(w.warned, fmt.Sprintf(format, args...))
}

func (w *world) warnings() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.warned
}

func (w *world) count(what string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, entry := range w.log {
		if entry == what {
			n++
		}
	}
	return n
}

func invocation(id string, timeout time.Duration) lambdaapi.Event {
	return lambdaapi.Event{Type: lambdaapi.Invoke, RequestID: id, DeadlineMs: time.Now().Add(timeout).UnixMilli()}
}

// runs invokes, ends the invocation after a time, and returns how long the extension held it after that.
func (w *world) runs(id string, takes time.Duration) time.Duration {
	w.invoke(id, time.Minute)
	time.Sleep(takes)
	ended := time.Now()
	w.Ends.ByLayer(id)
	<-w.nexts
	return time.Since(ended)
}

func TestManagerEndsAnInvocationAtTheFirstSignal(t *testing.T) {
	for _, tc := range []struct {
		desc   string
		signal func(w *world)
		want   time.Duration
	}{
		{desc: "the layer", signal: func(w *world) { time.Sleep(time.Second); w.Ends.ByLayer("1") }, want: time.Second},
		{desc: "the platform", signal: func(w *world) { time.Sleep(time.Second); w.Ends.ByPlatform("1") }, want: time.Second},
		{desc: "the layer of another invocation", signal: func(w *world) { w.Ends.ByLayer("0") }, want: 9800 * time.Millisecond},
		{desc: "none", signal: func(*world) {}, want: 9800 * time.Millisecond},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				began := time.Now()
				w.invoke("1", 10*time.Second)
				tc.signal(w)
				<-w.nexts
				if took := time.Since(began).Round(10 * time.Millisecond); took != tc.want {
					t.Errorf("took %v, want %v", took, tc.want)
				}
			})
		})
	}
}

func TestManagerTakesASignalThatComesBeforeItsInvocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.Ends.ByLayer("1")
		w.Ends.ByPlatform("0")
		w.invoke("1", 10*time.Second)
		began := time.Now()
		<-w.nexts
		if took := time.Since(began); took != 0 {
			t.Errorf("took %v", took)
		}
	})
}

func TestManagerNeverOutlastsTheDeadline(t *testing.T) {
	for _, left := range []time.Duration{-time.Second, 0, 100 * time.Millisecond, 500 * time.Millisecond, 3 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil)
			w.flushWith(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
			began := time.Now()
			w.invoke("1", left)
			w.Ends.ByLayer("1")
			<-w.nexts
			if took := time.Since(began); took > max(left-w.Settings.Margin, 0) {
				t.Errorf("took %v of %v", took, left)
			}
		})
	}
}

func TestManagerFlushesAtTheEndWhileInvocationsAreRare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.flushWith(func(context.Context) error { time.Sleep(30 * time.Millisecond); return nil })
		for i := range 8 {
			if held := w.runs(fmt.Sprint(i), time.Second); held != 30*time.Millisecond {
				t.Errorf("invocation %d was held for %v", i, held)
			}
			time.Sleep(time.Minute)
		}
		if w.flushes() != 8 {
			t.Errorf("%d flushes", w.flushes())
		}
	})
}

func TestManagerFlushesBesideFrequentInvocations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		for i := range 5 {
			w.runs(fmt.Sprint(i), 100*time.Millisecond)
		}
		before := w.flushes()
		w.flushWith(func(context.Context) error { time.Sleep(5 * time.Second); return nil })
		for i := 5; i < 105; i++ {
			if held := w.runs(fmt.Sprint(i), 100*time.Millisecond); held != 0 {
				t.Fatalf("invocation %d was held for %v", i, held)
			}
		}
		if flushes := w.flushes() - before; flushes < 1 || flushes > 3 {
			t.Errorf("%d flushes in ten seconds", flushes)
		}
	})
}

func TestManagerFlushesInTheCourseOfALongInvocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.invoke("1", 15*time.Minute)
		time.Sleep(10 * time.Minute)
		if flushes := w.flushes(); flushes < 100 || flushes > 121 {
			t.Errorf("%d flushes in ten minutes", flushes)
		}
	})
}

func TestManagerDoesNotMakeTheFunctionPayForEachFailureOfTheBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.flushWith(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		if held := w.runs("1", time.Second); held != w.Settings.FlushTimeout {
			t.Errorf("held for %v", held)
		}
		paid := 0
		for i := range 60 {
			time.Sleep(20 * time.Second)
			held := w.runs(fmt.Sprint(2+i), 50*time.Millisecond)
			if held > 0 {
				paid++
			}
			if held > w.Settings.ProbeTimeout {
				t.Errorf("invocation %d was held for %v", i, held)
			}
		}
		if paid < 5 || paid > 9 {
			t.Errorf("%d of 60 invocations in 20 minutes were held", paid)
		}
	})
}

func TestManagerNoticesTheBackendsReturnHoweverShortInvocationsAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.flushWith(func(context.Context) error { return errors.New("down") })
		w.runs("1", 10*time.Millisecond)
		// It is back, but slower than an invocation; and the machine is frozen while a request is under way.
		w.flushWith(func(ctx context.Context) error {
			select {
			case <-time.After(100 * time.Millisecond):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		time.Sleep(time.Minute)
		w.runs("2", 10*time.Millisecond)
		if w.IsFailing() {
			t.Error("the return went unnoticed")
		}
	})
}

func TestManagerBeginsAnewAfterAThaw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.runs("1", time.Second)
		w.runs("2", time.Second)
		time.Sleep(time.Minute)
		w.runs("3", time.Second)
		if w.count("forgive") != 1 || len(w.thawed) != 1 || w.thawed[0] < time.Minute {
			t.Errorf("thawed after %v, forgave %d times", w.thawed, w.count("forgive"))
		}
	})
}

func TestManagerAbandonsADeliveryThatWasFrozen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		for i := range 5 {
			w.runs(fmt.Sprint(i), 2*time.Second)
		}
		var cut atomic.Pointer[time.Time]
		w.flushWith(func(ctx context.Context) error { <-ctx.Done(); now := time.Now(); cut.Store(&now); return ctx.Err() })
		for i := 5; cut.Load() == nil && i < 10; i++ {
			w.runs(fmt.Sprint(i), 2*time.Second)
			if len(w.inFlight) > 0 {
				w.flushWith(func(context.Context) error { return nil })
				break
			}
		}
		time.Sleep(5 * time.Second)
		thawed := time.Now()
		w.runs("10", 2*time.Second)
		if got := cut.Load().Sub(thawed); got != w.Settings.ThawGrace {
			t.Errorf("the frozen delivery was cut after %v", got)
		}
		if w.IsFailing() {
			t.Error("it was not tried again")
		}
	})
}

func TestManagerInSilence(t *testing.T) {
	for _, tc := range []struct {
		desc     string
		hasLayer bool
		posts    int
		want     time.Duration
	}{
		{desc: "nothing comes", want: 3 * time.Second},
		{desc: "telemetry comes", posts: 3, want: 3*400*time.Millisecond + 500*time.Millisecond},
		{desc: "a layer is known", hasLayer: true, want: 59800 * time.Millisecond},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(m *Manager) { m.HasPlatformEvents = false })
				if tc.hasLayer {
					w.Ends.ByLayer("0")
				}
				began := time.Now()
				w.invoke("1", time.Minute)
				for range tc.posts {
					time.Sleep(400 * time.Millisecond)
					w.Ends.Posted()
				}
				<-w.nexts
				if took := time.Since(began); took != tc.want {
					t.Errorf("took %v, want %v", took, tc.want)
				}
			})
		})
	}
}

func TestManagerDeliversWhileItWaitsWhereNothingFreezes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(m *Manager) { m.IsManaged = true })
		time.Sleep(time.Minute)
		if flushes := w.flushes(); flushes < 11 || flushes > 13 {
			t.Errorf("%d flushes in a minute", flushes)
		}
		w.events <- lambdaapi.Event{Type: lambdaapi.Shutdown, DeadlineMs: time.Now().Add(2 * time.Second).UnixMilli()}
		if err := <-w.done; err != nil {
			t.Error(err)
		}
	})
}

func TestManagerShutdown(t *testing.T) {
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for _, tc := range []struct {
		desc       string
		flush      func(context.Context) error
		handOver   func(context.Context) error
		pending    int64
		within     time.Duration
		wantWarned int
		wantTime   time.Duration
	}{
		{desc: "nothing is left"},
		{desc: "the backend hangs", flush: hang, handOver: func(context.Context) error { return nil }, wantTime: 600 * time.Millisecond},
		{desc: "the bucket hangs too", flush: hang, handOver: hang, wantTime: 1300 * time.Millisecond, wantWarned: 1},
		{desc: "there is no bucket", flush: hang, pending: 5, wantTime: 1300 * time.Millisecond, wantWarned: 1},
		{desc: "there is little time", flush: hang, handOver: hang, within: 700 * time.Millisecond, wantTime: 500 * time.Millisecond, wantWarned: 1},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(m *Manager) { m.HandOver = tc.handOver })
				if tc.flush != nil {
					w.flushWith(tc.flush)
				}
				w.pending = tc.pending
				began := time.Now()
				within := max(tc.within, 2*time.Second)
				if tc.within > 0 {
					within = tc.within
				}
				w.events <- lambdaapi.Event{Type: lambdaapi.Shutdown, ShutdownReason: "SpinDown", DeadlineMs: began.Add(within).UnixMilli()}
				if err := <-w.done; err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began).Round(time.Millisecond); took != tc.wantTime || len(w.warnings()) != tc.wantWarned {
					t.Errorf("took %v, warned %q", took, w.warnings())
				}
				if w.count("shutting down: spindown") != 1 {
					t.Errorf("log %v", w.log)
				}
			})
		})
	}
}

func TestManagerEndsAsAfterAThaw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.failing = true
		sending := make(chan struct{}, 1) // as in the outbox, one delivery waits for the other
		delivered := 0
		w.flushWith(func(ctx context.Context) error {
			sending <- struct{}{}
			defer func() { <-sending }()
			w.flushWith(func(ctx context.Context) error {
				select {
				case sending <- struct{}{}:
					defer func() { <-sending }()
				case <-ctx.Done():
					return ctx.Err()
				}
				delivered++
				return nil
			})
			<-ctx.Done()
			return ctx.Err()
		})
		w.runs("1", 10*time.Millisecond)
		time.Sleep(time.Hour)
		began := time.Now()
		w.events <- lambdaapi.Event{Type: lambdaapi.Shutdown, DeadlineMs: began.Add(2 * time.Second).UnixMilli()}
		if err := <-w.done; err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); delivered == 0 || took > w.Settings.ThawGrace || len(w.thawed) != 1 {
			t.Errorf("delivered %d times in %v, thawed %v", delivered, took, w.thawed)
		}
	})
}

func TestManagerHandsOverOnlyWhenNothingIsSentAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w *world
		var busy atomic.Int32
		w = newWorld(t, func(m *Manager) {
			m.HandOver = func(context.Context) error {
				if busy.Load() > 0 {
					t.Error("handed over while a delivery ran")
				}
				return nil
			}
		})
		w.failing = true
		w.flushWith(func(ctx context.Context) error {
			busy.Add(1)
			defer busy.Add(-1)
			<-ctx.Done()
			return errors.New("down")
		})
		w.runs("1", time.Second)
		w.events <- lambdaapi.Event{Type: lambdaapi.Shutdown, DeadlineMs: time.Now().Add(2 * time.Second).UnixMilli()}
		<-w.done
	})
}

func TestManagerSurvivesAPanicInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.failing = true
		w.flushWith(func(context.Context) error {
			w.flushWith(func(context.Context) error { return nil })
			panic("a fault")
		})
		w.runs("1", time.Second)
		w.runs("2", time.Second)
		if warned := w.warnings(); len(warned) != 1 {
			t.Errorf("warned %q", warned)
		}
	})
}

func TestIdleAnswersEventsUntilShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{events: make(chan lambdaapi.Event), nexts: make(chan struct{}, 10)}
		done := make(chan error, 1)
		go func() { done <- Idle(t.Context(), w) }()
		w.invoke("1", time.Second)
		w.events <- lambdaapi.Event{Type: lambdaapi.Shutdown}
		if err := <-done; err != nil || len(w.nexts) != 2 {
			t.Errorf("error %v after %d requests", err, len(w.nexts))
		}
	})
}
