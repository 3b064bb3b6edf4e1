package outbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// words is the simplest payload: a list of words that encodes as one text.
type words struct{ list []string }

type wordsCodec struct{}

func (wordsCodec) Encode(w *words) ([]byte, error) { return []byte(strings.Join(w.list, " ")), nil }
func (wordsCodec) Count(w *words) int              { return len(w.list) }
func (wordsCodec) Merge(dst, src *words)           { dst.list = append(dst.list, src.list...) }

func (wordsCodec) Decode(request []byte) (*words, error) {
	if strings.HasPrefix(string(request), "damaged") {
		return nil, errors.New("no words")
	}
	return &words{strings.Fields(string(request))}, nil
}

func (wordsCodec) Split(w *words) (*words, bool) {
	half := len(w.list) / 2
	if half == 0 {
		return nil, false
	}
	first := &words{slices.Clone(w.list[:half])}
	w.list = w.list[half:]
	return first, true
}

// backend takes words, as its answer says.
type backend struct {
	mu     sync.Mutex
	taken  []string
	sizes  []int
	answer func(w *words) Outcome
}

func (b *backend) send(_ context.Context, w *words) Outcome {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := Outcome{}
	if b.answer != nil {
		out = b.answer(w)
	}
	if out.Verdict == Delivered {
		b.taken = append(b.taken, w.list...)
		b.sizes = append(b.sizes, len(w.list))
	}
	return out
}

type fixture struct {
	*Outbox
	backend
	lane *Lane[*words]
	now  time.Time
	opts Options
}

func newFixture(t *testing.T, change func(*Options)) *fixture {
	t.Helper()
	dir := t.TempDir()
	f := &fixture{now: time.Unix(1000, 0)}
	f.opts = Options{
		Dir: filepath.Join(dir, "pending"), RefusedDir: filepath.Join(dir, "refused"),
		SpoolBytes: 1 << 20, RefusedBytes: 1 << 16, MemoryBytes: 1 << 20, RequestBytes: 1 << 16,
		Now: func() time.Time { return f.now },
	}
	if change != nil {
		change(&f.opts)
	}
	f.open(t)
	return f
}

func (f *fixture) open(t *testing.T) {
	t.Helper()
	box, err := Open(f.opts)
	if err != nil && box.spool != nil {
		t.Fatal(err)
	}
	f.Outbox = box
	t.Cleanup(box.Close)
	f.lane = Register(box, "buffer/traces", Traces, wordsCodec{}, f.send)
	box.Adopt()
}

func (f *fixture) put(t *testing.T, list ...string) {
	t.Helper()
	if err := f.lane.Put(&words{list}); err != nil {
		t.Fatal(err)
	}
}

func TestFlushMergesWhatWaitsIntoOneRequest(t *testing.T) {
	f := newFixture(t, nil)
	f.put(t, "a", "b")
	f.put(t, "c")
	if err := f.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(f.taken, []string{"a", "b", "c"}) || len(f.sizes) != 1 {
		t.Errorf("taken %q in %d requests", f.taken, len(f.sizes))
	}
	if f.PendingBytes() != 0 || f.spool.Bytes() != 0 {
		t.Errorf("%d bytes pending, %d in the spool", f.PendingBytes(), f.spool.Bytes())
	}
}

func TestFlushKeepsToTheSizeOfARequest(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.RequestBytes = 4 })
	for _, word := range []string{"aa", "bb", "cc", "dddddd"} {
		f.put(t, word)
	}
	if err := f.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(f.sizes, []int{2, 1, 1}) {
		t.Errorf("requests of %v words", f.sizes)
	}
}

func TestFlushTriesAgainAfterItsBackOff(t *testing.T) {
	f := newFixture(t, nil)
	f.put(t, "a")
	f.answer = func(*words) Outcome { return Outcome{Verdict: Retry, Err: errors.New("down")} }
	if err := f.Flush(t.Context()); err == nil || !f.IsFailing() {
		t.Fatal("a failed delivery went unnoticed")
	}
	f.answer = nil
	if err := f.Flush(t.Context()); !errors.Is(err, ErrWaiting) {
		t.Errorf("error %v right after a failure", err)
	}
	f.now = f.now.Add(firstBackOff)
	f.put(t, "b")
	if err := f.Flush(t.Context()); err != nil || f.IsFailing() {
		t.Fatal(err)
	}
	if !slices.Equal(f.taken, []string{"a", "b"}) {
		t.Errorf("taken %q", f.taken)
	}
}

func TestForgiveEndsTheLanesOwnBackOffOnly(t *testing.T) {
	for _, tc := range []struct {
		desc       string
		retryAfter time.Duration
		want       error
	}{
		{desc: "own"},
		{desc: "asked for by the backend", retryAfter: time.Minute, want: ErrWaiting},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			f := newFixture(t, nil)
			f.put(t, "a")
			f.answer = func(*words) Outcome { return Outcome{Verdict: Retry, RetryAfter: tc.retryAfter} }
			_ = f.Flush(t.Context())
			f.answer = nil
			f.Forgive()
			if err := f.Flush(t.Context()); !errors.Is(err, tc.want) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestFlushDividesWhatIsTooLargeAndLearnsTheSize(t *testing.T) {
	f := newFixture(t, nil)
	f.answer = func(w *words) Outcome {
		if len(w.list) > 2 {
			return Outcome{Verdict: TooLarge}
		}
		return Outcome{}
	}
	f.put(t, "a", "b", "c", "d", "e", "f", "g")
	if err := f.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(f.taken, []string{"a", "b", "c", "d", "e", "f", "g"}) {
		t.Errorf("taken %q", f.taken)
	}
	if f.spool.Bytes() != 0 || f.PendingBytes() != 0 {
		t.Errorf("%d bytes in the spool, %d pending", f.spool.Bytes(), f.PendingBytes())
	}
}

func TestFlushKeepsWhatIsRefused(t *testing.T) {
	for _, verdict := range []Verdict{Refused, TooLarge} {
		f := newFixture(t, nil)
		f.answer = func(w *words) Outcome {
			if w.list[0] == "bad" {
				return Outcome{Verdict: verdict}
			}
			return Outcome{}
		}
		f.put(t, "bad")
		if err := f.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.put(t, "good")
		if err := f.Flush(t.Context()); err != nil || !slices.Equal(f.taken, []string{"good"}) {
			t.Fatalf("taken %q, error %v", f.taken, err)
		}
		var kept []string
		_ = f.Refusals(func(_ Signal, request []byte) error { kept = append(kept, string(request)); return nil })
		if got := f.Stats().Signal[Traces]; !slices.Equal(kept, []string{"bad"}) || got.Refused != 1 || got.Lost != 0 {
			t.Errorf("kept %q, counted %+v", kept, got)
		}
	}
}

func TestOutboxReplaysWhatAnEarlierProcessLeft(t *testing.T) {
	f := newFixture(t, nil)
	f.put(t, "a")
	f.put(t, "b", "c")
	f.Close()
	f.open(t)
	if err := f.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.Stats().Signal[Traces]; !slices.Equal(f.taken, []string{"a", "b", "c"}) || got.Replayed != 3 || got.Sent != 3 {
		t.Errorf("taken %q, counted %+v", f.taken, got)
	}
}

func TestOutboxGivesTheTelemetryOfAPipelineThatIsGoneToAnother(t *testing.T) {
	f := newFixture(t, nil)
	other := Register(f.Outbox, "buffer/traces/2", Traces, wordsCodec{}, f.send)
	if err := other.Put(&words{[]string{"a"}}); err != nil {
		t.Fatal(err)
	}
	f.Close()
	f.open(t)
	if err := f.Flush(t.Context()); err != nil || !slices.Equal(f.taken, []string{"a"}) {
		t.Errorf("taken %q, error %v", f.taken, err)
	}
}

func TestOutboxCountsWhatItCannotReadAnyMore(t *testing.T) {
	f := newFixture(t, nil)
	if _, err := f.spool.Append([]byte{99, 0}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.spool.Append(frame("buffer/traces", Traces, []byte("damaged request"))); err != nil {
		t.Fatal(err)
	}
	f.Close()
	f.open(t)
	if got := f.Stats(); got.DamagedPlaces != 2 || !got.Lossy() {
		t.Errorf("counted %d damaged places", got.DamagedPlaces)
	}
	if err := f.Flush(t.Context()); err != nil || f.spool.Bytes() != 0 {
		t.Errorf("error %v, %d bytes in the spool", err, f.spool.Bytes())
	}
}

func TestOutboxKeepsLittleInMemory(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.MemoryBytes = 20 })
	var want []string
	for range 10 {
		f.put(t, "word", "word")
		want = append(want, "word", "word")
	}
	if got := f.cached.Load(); got > 20 {
		t.Errorf("%d bytes in memory", got)
	}
	if err := f.Flush(t.Context()); err != nil || !slices.Equal(f.taken, want) {
		t.Errorf("taken %d words, error %v", len(f.taken), err)
	}
	if got := f.cached.Load(); got != 0 {
		t.Errorf("%d bytes counted as in memory when nothing is", got)
	}
}

func TestOutboxCountsWhatItDropsForWantOfRoom(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.SpoolBytes, o.MemoryBytes = 1024, 0 })
	const many = 200
	for range many {
		f.put(t, "a-word-of-some-length")
	}
	if err := f.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := f.Stats().Signal[Traces]
	if got.Lost == 0 || got.Lost+got.Sent != many || int(got.Sent) != len(f.taken) {
		t.Errorf("counted %+v", got)
	}
}

func TestOutboxWorksInMemoryWithoutASpool(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a-file")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, func(o *Options) { o.Dir, o.MemoryBytes = dir, 40 })
	for range 10 {
		f.put(t, "ten-bytes-")
	}
	if err := f.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := f.Stats().Signal[Traces]
	if got.AtRisk != 10 || got.Spooled != 0 || got.Lost == 0 || got.Lost+got.Sent != 10 {
		t.Errorf("counted %+v", got)
	}
}

func TestLeftoverIsAllThatWaits(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.MemoryBytes = 6 })
	f.answer = func(*words) Outcome { return Outcome{Verdict: Retry} }
	f.put(t, "a", "b")
	_ = f.Flush(t.Context())
	f.put(t, "c")
	f.put(t, "from-disk")
	var left []string
	note := func(_ Signal, request []byte) error { left = append(left, string(request)); return nil }
	forget, err := f.Leftover(1<<20, note)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(left, []string{"a b", "c", "from-disk"}) {
		t.Errorf("left %q", left)
	}
	forget()
	if got := f.Stats().Signal[Traces]; got.HandedOver != 4 || f.PendingBytes() != 0 || f.spool.Bytes() != 0 || f.cached.Load() != 0 {
		t.Errorf("counted %+v, %d bytes pending, %d in the spool, %d in memory", got, f.PendingBytes(), f.spool.Bytes(), f.cached.Load())
	}
}

func TestLeftoverComesInPartsThatAreForgottenOneByOne(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.MemoryBytes = 6 })
	for _, word := range []string{"first", "second", "third"} {
		f.put(t, word)
	}
	visit := func() (left []string, forget func()) {
		forget, err := f.Leftover(7, func(_ Signal, request []byte) error { left = append(left, string(request)); return nil })
		if err != nil {
			t.Fatal(err)
		}
		return left, forget
	}
	left, forget := visit()
	if again, _ := visit(); !slices.Equal(left, []string{"first", "second"}) || !slices.Equal(again, left) {
		t.Errorf("visited %q, then %q without a forget between", left, again)
	}
	forget()
	if got := f.Stats().Signal[Traces].HandedOver; got != 2 || f.PendingBytes() == 0 {
		t.Errorf("%d handed over, %d bytes pending", got, f.PendingBytes())
	}
	left, forget = visit()
	forget()
	if again, _ := visit(); !slices.Equal(left, []string{"third"}) || len(again) > 0 {
		t.Errorf("visited %q, then %q", left, again)
	}
	if f.PendingBytes() != 0 || f.cached.Load() != 0 || f.spool.Bytes() != 0 {
		t.Errorf("%d bytes pending, %d in memory, %d in the spool", f.PendingBytes(), f.cached.Load(), f.spool.Bytes())
	}
}

func TestLeftoverSkipsWhatCannotBeRead(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.MemoryBytes = 1 })
	for _, word := range []string{"first", "second", "third"} {
		f.put(t, word)
	}
	if err := f.spool.Ack(f.lane.queue[1].seqs...); err != nil {
		t.Fatal(err)
	}
	var left []string
	forget, err := f.Leftover(1<<20, func(_ Signal, request []byte) error { left = append(left, string(request)); return nil })
	if err != nil || !slices.Equal(left, []string{"first", "third"}) {
		t.Fatalf("left %q, error %v", left, err)
	}
	forget()
	if got := f.Stats().Signal[Traces]; got.HandedOver != 2 || got.Lost != 1 || f.PendingBytes() != 0 {
		t.Errorf("counted %+v, %d bytes pending", got, f.PendingBytes())
	}
}

func TestFlushEndsWithItsContextAndKeepsTheRest(t *testing.T) {
	f := newFixture(t, nil)
	release := make(chan struct{})
	f.lane.send = func(ctx context.Context, _ *words) Outcome {
		select {
		case <-ctx.Done():
			return Outcome{Verdict: Retry, Err: ctx.Err()}
		case <-release:
			return Outcome{}
		}
	}
	f.put(t, "a")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := f.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	close(release)
	f.Forgive()
	if err := f.Flush(t.Context()); err != nil || f.PendingBytes() != 0 {
		t.Errorf("error %v, %d bytes pending", err, f.PendingBytes())
	}
}

func TestPutAndFlushAtTheSameTimeLoseNothing(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.RequestBytes, o.MemoryBytes = 64, 256 })
	fails := 0
	f.answer = func(*words) Outcome {
		if fails++; fails%3 == 0 {
			return Outcome{Verdict: Retry}
		}
		return Outcome{}
	}
	const writers, each = 4, 200
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				if err := f.lane.Put(&words{[]string{"word"}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	stop := make(chan struct{})
	flushed := make(chan struct{})
	go func() {
		defer close(flushed)
		for {
			f.Forgive()
			_ = f.Flush(t.Context())
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	wg.Wait()
	close(stop)
	<-flushed
	for f.PendingBytes() > 0 {
		f.Forgive()
		_ = f.Flush(t.Context())
	}
	if len(f.taken) != writers*each {
		t.Errorf("taken %d of %d", len(f.taken), writers*each)
	}
}

func TestFlushMakesAnErrorOfAPanic(t *testing.T) {
	f := newFixture(t, nil)
	other := Register(f.Outbox, "buffer/traces/2", Traces, wordsCodec{}, f.send)
	if err := other.Put(&words{[]string{"other"}}); err != nil {
		t.Fatal(err)
	}
	f.lane.send = func(context.Context, *words) Outcome { panic("exporter is broken") }
	f.put(t, "a")
	if err := f.Flush(t.Context()); err == nil || !strings.Contains(err.Error(), "exporter is broken") {
		t.Errorf("error %v", err)
	}
	if !slices.Equal(f.taken, []string{"other"}) || !f.IsFailing() {
		t.Errorf("taken %q from the lane that works", f.taken)
	}
	f.lane.send = f.send
	if err := f.Flush(t.Context()); err != nil || !slices.Equal(f.taken, []string{"other", "a"}) {
		t.Errorf("taken %q, error %v", f.taken, err)
	}
}

func TestFlushRefusesTheOffenderAndNotItsNeighbours(t *testing.T) {
	f := newFixture(t, nil)
	limit := f.lane.limit
	f.answer = func(w *words) Outcome {
		if slices.Contains(w.list, "bad") {
			return Outcome{Verdict: Refused}
		}
		return Outcome{}
	}
	var want []string
	for i := range 20 {
		word := fmt.Sprintf("word-%02d", i)
		list := []string{word, word, word}
		want = append(want, list...)
		if i == 13 {
			list = append(list, "bad")
		}
		f.put(t, list...)
	}
	if err := f.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(f.taken, want) {
		t.Errorf("taken %q", f.taken)
	}
	if got := f.Stats().Signal[Traces]; got.Refused != 1 || got.Sent != 60 || f.PendingBytes() != 0 || f.cached.Load() != 0 || f.spool.Bytes() != 0 {
		t.Errorf("counted %+v, %d bytes pending", got, f.PendingBytes())
	}
	if f.lane.limit != limit {
		t.Errorf("requests of %d bytes from now on, as if they were too large", f.lane.limit)
	}
}

func TestFlushAsksABackendThatRefusesEverythingAFewTimesOnly(t *testing.T) {
	f := newFixture(t, nil)
	requests := 0
	f.answer = func(*words) Outcome { requests++; return Outcome{Verdict: Refused} }
	const puts, each = 10, 500
	for range puts {
		f.put(t, slices.Repeat([]string{"w"}, each)...)
	}
	if err := f.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if requests < puts || requests > 5*puts {
		t.Errorf("%d requests for %d puts", requests, puts)
	}
	if got := f.Stats().Signal[Traces].Refused; got != puts*each || f.PendingBytes() != 0 || f.spool.Bytes() != 0 {
		t.Errorf("%d refused, %d bytes pending, %d in the spool", got, f.PendingBytes(), f.spool.Bytes())
	}
}

func TestFlushKeepsARefusedRequestThatIsLargerThanItsSpool(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.RefusedBytes = 400 })
	f.answer = func(*words) Outcome { return Outcome{Verdict: Refused} }
	f.put(t, slices.Repeat([]string{"ten-bytes-"}, 100)...)
	if err := f.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	kept := 0
	_ = f.Refusals(func(_ Signal, request []byte) error { kept += len(strings.Fields(string(request))); return nil })
	if got := f.Stats().Signal[Traces].Refused; kept < 10 || got != 100 {
		t.Errorf("kept %d words, counted %d", kept, got)
	}
}

func TestLaneNeverGrowsItsRequestsForWantOfSizeAndRecoversSlowly(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.RequestBytes = 64 })
	f.answer = func(w *words) Outcome {
		if len(w.list) > 2 {
			return Outcome{Verdict: TooLarge}
		}
		return Outcome{}
	}
	f.put(t, slices.Repeat([]string{"ten-bytes-"}, 5)...)
	_ = f.Flush(t.Context())
	learnt := f.lane.limit
	if learnt >= 32 {
		t.Fatalf("%d bytes after requests that were too large", learnt)
	}
	// A put far above the bound is divided to parts that are above what was learnt.
	f.answer = func(w *words) Outcome {
		if len(w.list) > 50 {
			return Outcome{Verdict: TooLarge}
		}
		return Outcome{}
	}
	f.put(t, slices.Repeat([]string{"ten-bytes-"}, 100)...)
	_ = f.Flush(t.Context())
	if f.lane.limit > learnt {
		t.Errorf("%d bytes learnt from a refusal, %d before", f.lane.limit, learnt)
	}
	f.answer = nil
	for i := range 5 * deliveriesToGrow {
		f.put(t, "a")
		_ = f.Flush(t.Context())
		if i < deliveriesToGrow/2 && f.lane.limit > learnt {
			t.Errorf("%d bytes after %d deliveries", f.lane.limit, i+1)
		}
	}
	if f.lane.limit != 64 {
		t.Errorf("%d bytes after many deliveries", f.lane.limit)
	}
}

func TestOutboxMakesRoomInMemoryFromWhatStandsInTheSpool(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.SpoolBytes, o.MemoryBytes = 120, 370 })
	other := Register(f.Outbox, "buffer/logs", Logs, wordsCodec{}, f.send)
	f.put(t, "spooled-1-", "more")
	f.put(t, "spooled-2-", "more")
	tooLargeForTheSpool := strings.Repeat("x", 120)
	for range 3 {
		if err := other.Put(&words{[]string{tooLargeForTheSpool}}); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.cached.Load(); got > 370 {
		t.Errorf("%d bytes in memory", got)
	}
	if err := f.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.Stats(); got.Lossy() || got.Signal[Traces].Sent != 4 || got.Signal[Logs].Sent != 3 {
		t.Errorf("counted %+v", got)
	}
}

func TestOutboxNeverReadsAPartFromTheSpoolAgain(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.SpoolBytes, o.MemoryBytes = 60, 20 })
	calls := 0
	f.answer = func(*words) Outcome {
		if calls++; calls == 1 {
			return Outcome{Verdict: TooLarge}
		}
		return Outcome{Verdict: Retry}
	}
	f.put(t, "first", "second")
	_ = f.Flush(t.Context())
	tooLargeForTheSpool := strings.Repeat("x", 60)
	f.put(t, tooLargeForTheSpool)
	f.answer = nil
	f.Forgive()
	if err := f.Flush(t.Context()); err != nil || !slices.Equal(f.taken, []string{"first", "second", tooLargeForTheSpool}) {
		t.Errorf("taken %q, error %v", f.taken, err)
	}
}

func TestOutboxKeepsInMemoryWhatTheSpoolHasDropped(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.SpoolBytes, o.MemoryBytes = 200, 250 })
	f.put(t, "dropped")
	f.put(t, "spooled")
	if err := f.spool.Ack(f.lane.queue[0].seqs...); err != nil {
		t.Fatal(err)
	}
	f.put(t, strings.Repeat("larger-than-the-spool", 12)[:250])
	if f.lane.queue[1].cached {
		t.Error("what stands in the spool was kept in memory nevertheless")
	}
	if err := f.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.Stats(); got.Signal[Traces].Sent != 3 || got.Lossy() {
		t.Errorf("counted %+v", got)
	}
}
