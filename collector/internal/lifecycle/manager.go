package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"neuro-preprocess/collector/internal/lambdaapi"
)

// API is the part of the Extensions API that the manager drives.
type API interface {
	Next(ctx context.Context) (lambdaapi.Event, error)
}

// Outbox is what holds undelivered telemetry.
type Outbox interface {
	// Flush delivers what waits, and returns an error if something is left.
	Flush(ctx context.Context) error
	PendingBytes() int64
	IsFailing() bool
	Forgive()
}

// Watcher is told what happens to the environment. Its methods return soon.
type Watcher interface {
	// Invoked: an invocation begins.
	Invoked(requestID string, deadline time.Time)
	// Thawed: the machine ran on after a pause. Connections from before it may be dead.
	Thawed(pause time.Duration)
	// BeforeFlush puts what was counted so far into the outbox.
	BeforeFlush()
	// ShuttingDown waits, within ctx, for the platform's last events, and puts what is still open into the outbox.
	ShuttingDown(ctx context.Context, reason string)
}

// Settings of a manager. Zero values are not replaced.
type Settings struct {
	// Margin before an invocation's deadline at which the extension lets go of it.
	Margin time.Duration
	// FlushTimeout bounds what a flush may add to an invocation.
	FlushTimeout time.Duration
	// ProbeTimeout bounds it while the backend fails. Between two such tries is a pause that doubles, from ProbePause
	// to MaxProbePause.
	ProbeTimeout, ProbePause, MaxProbePause time.Duration
	// FlushInterval is the age of the last flush at which, while invocations are frequent, one runs beside the
	// next, and at which one runs in the course of a long invocation.
	FlushInterval time.Duration
	// FlushBytes that wait are reason enough for a flush in the background, whatever its age.
	FlushBytes int64
	// Quiet is how long nothing must arrive, after something did, before an invocation counts as over where neither
	// the platform nor a telemetry layer says so; Silence is the same where nothing arrives at all.
	Quiet, Silence time.Duration
	// ShutdownBudget is the time from SHUTDOWN to the end of the process.
	ShutdownBudget time.Duration
	// ShutdownFlush is the part of it for the backend, where what is left can be handed over.
	ShutdownFlush time.Duration
	// PauseIsThaw is the length of a pause between two invocations that is taken for a freeze.
	PauseIsThaw time.Duration
	// ThawGrace is how long a request that was under way when the machine was frozen may still take.
	ThawGrace time.Duration
}

// DefaultSettings are for a Lambda function.
func DefaultSettings() Settings {
	return Settings{
		Margin:         200 * time.Millisecond,
		FlushTimeout:   2 * time.Second,
		ProbeTimeout:   300 * time.Millisecond,
		ProbePause:     10 * time.Second,
		MaxProbePause:  5 * time.Minute,
		FlushInterval:  5 * time.Second,
		FlushBytes:     256 << 10,
		Quiet:          500 * time.Millisecond,
		Silence:        3 * time.Second,
		ShutdownBudget: 1300 * time.Millisecond,
		ShutdownFlush:  600 * time.Millisecond,
		PauseIsThaw:    time.Second,
		ThawGrace:      300 * time.Millisecond,
	}
}

// Manager answers the events of one environment.
type Manager struct {
	Settings Settings
	API      API
	Outbox   Outbox
	Watcher  Watcher
	Ends     *Ends
	Cadence  Cadence
	// HasPlatformEvents is false where the platform has no Telemetry API.
	HasPlatformEvents bool
	// IsManaged says that there are no invocation events, and that the machine is never frozen.
	IsManaged bool
	// HandOver stores what could not be delivered somewhere else, if there is anything. It may be nil.
	HandOver func(ctx context.Context) error
	// Warn prints one line.
	Warn func(format string, args ...any)

	lastFlush time.Time
	failures  int       // of deliveries at the end of an invocation, one after the other
	nextProbe time.Time // on the wall clock
	// inFlight holds a token while a flush runs in the background, which ends early when stopBackground is called.
	inFlight       chan struct{}
	stopBackground context.CancelFunc
	// abandon fires when the flush that was under way at a freeze has had its time.
	abandon <-chan time.Time
}

// Run answers events until SHUTDOWN or the end of ctx, which is treated as one. It returns an error only if the
// platform cannot be asked for events any more.
func (m *Manager) Run(ctx context.Context) error {
	m.inFlight = make(chan struct{}, 1)
	m.stopBackground = func() {}
	m.lastFlush = time.Now()
	for {
		asked := time.Now()
		event, err := m.next(ctx)
		if ctx.Err() != nil {
			m.shutdown(lambdaapi.Event{ShutdownReason: "signal"})
			return nil
		}
		if err != nil {
			return fmt.Errorf("ask for the next event: %w", err)
		}
		// The wall clock runs while a frozen machine's monotonic clock may stand still: the longer of the two counts.
		now := time.Now()
		if pause := max(now.Sub(asked), now.Round(0).Sub(asked.Round(0))); pause >= m.Settings.PauseIsThaw {
			m.thawed(pause)
		}
		if event.Type == lambdaapi.Shutdown {
			m.shutdown(event)
			return nil
		}
		m.invoke(ctx, event)
	}
}

// next waits for an event. Where the machine is not frozen meanwhile, what waits is delivered meanwhile.
func (m *Manager) next(ctx context.Context) (lambdaapi.Event, error) {
	if !m.IsManaged && m.HasPlatformEvents {
		return m.API.Next(ctx)
	}
	var event lambdaapi.Event
	var err error
	came := make(chan struct{})
	go func() {
		defer close(came)
		event, err = m.API.Next(ctx)
	}()
	tick := time.NewTicker(m.Settings.FlushInterval)
	defer tick.Stop()
	for {
		select {
		case <-came:
			return event, err
		case <-tick.C:
			m.flushInBackground()
		}
	}
}

// thawed begins anew with the backend. A request that was under way when the machine was frozen may still be answered,
// or its connection may be dead without a word: it gets a moment.
func (m *Manager) thawed(pause time.Duration) {
	m.Outbox.Forgive()
	m.Watcher.Thawed(pause)
	if len(m.inFlight) > 0 {
		m.abandon = time.After(m.Settings.ThawGrace)
	}
}

func (m *Manager) invoke(ctx context.Context, event lambdaapi.Event) {
	ended := m.Ends.Begin(event.RequestID)
	// A deadline on the wall clock, so that it is right whatever happened to the monotonic one.
	left := time.Until(event.Deadline()) - m.Settings.Margin
	ctx, cancel := context.WithTimeout(ctx, max(left, 0))
	defer cancel()
	m.Watcher.Invoked(event.RequestID, event.Deadline())
	m.Cadence.Observe(time.Now().Round(0))
	isFrequent := m.Cadence.IsFrequent()
	if (isFrequent || m.Outbox.IsFailing()) && m.isDue() {
		m.flushInBackground()
	}
	m.await(ctx, ended)
	if isFrequent || ctx.Err() != nil {
		return
	}
	m.flushAtEnd(ctx)
}

// await returns at the end of an invocation.
func (m *Manager) await(ctx context.Context, ended <-chan struct{}) {
	tick := time.NewTicker(m.Settings.FlushInterval)
	defer tick.Stop()
	// Where neither the platform nor a layer speaks, silence must do. Only emulators are like that, and they do not
	// freeze: to let go too early there costs little.
	isGuessing := !m.HasPlatformEvents && !m.Ends.HasLayer()
	var quiet <-chan time.Time
	if isGuessing {
		quiet = time.After(m.Settings.Silence)
	}
	for {
		select {
		case <-ended:
			return
		case <-ctx.Done():
			return
		case <-quiet:
			if !m.Ends.HasLayer() {
				return
			}
			quiet = nil
		case <-m.Ends.posted:
			if isGuessing {
				quiet = time.After(m.Settings.Quiet)
			}
		case <-m.abandon:
			m.abandon = nil
			m.restartBackground()
		case <-tick.C:
			if m.isDue() {
				m.flushInBackground()
			}
		}
	}
}

func (m *Manager) isDue() bool {
	return m.Outbox.PendingBytes() >= m.Settings.FlushBytes || time.Since(m.lastFlush) >= m.Settings.FlushInterval ||
		m.Outbox.IsFailing()
}

// flushAtEnd makes the invocation wait for the backend. While the backend fails the function does not pay for each of
// its failures: it is tried beside invocations, and awaited only briefly and ever more rarely.
func (m *Manager) flushAtEnd(ctx context.Context) {
	limit := m.Settings.FlushTimeout
	if m.Outbox.IsFailing() {
		if time.Now().Round(0).Before(m.nextProbe) {
			return
		}
		limit = m.Settings.ProbeTimeout
	}
	if m.abandon != nil {
		// An invocation shorter than the grace would never see what was frozen end.
		m.abandon = nil
		m.stopBackground()
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	m.Watcher.BeforeFlush()
	err := m.Outbox.Flush(ctx)
	m.lastFlush = time.Now()
	if err == nil {
		m.failures = 0
		return
	}
	m.nextProbe = m.lastFlush.Round(0).Add(min(m.Settings.ProbePause<<min(m.failures, 16), m.Settings.MaxProbePause))
	m.failures++
}

// flushInBackground starts a delivery that may outlast the invocation, and a freeze: what it had not heard back by
// then it sends again. There is one at a time.
func (m *Manager) flushInBackground() {
	select {
	case m.inFlight <- struct{}{}:
		go m.deliver(m.newBackground())
	default:
	}
}

// restartBackground ends a delivery that will not end by itself, and begins another one.
func (m *Manager) restartBackground() {
	m.stopBackground()
	ctx := m.newBackground()
	go func() {
		select {
		case m.inFlight <- struct{}{}:
			m.deliver(ctx)
		case <-ctx.Done():
		}
	}()
}

func (m *Manager) newBackground() context.Context {
	ctx, stop := context.WithCancel(context.Background())
	m.lastFlush, m.stopBackground = time.Now(), stop
	return ctx
}

// deliver gives the token of inFlight back at its end.
func (m *Manager) deliver(ctx context.Context) {
	defer func() { <-m.inFlight }()
	defer m.survive("delivery in the background")
	m.Watcher.BeforeFlush()
	_ = m.Outbox.Flush(ctx)
}

func (m *Manager) survive(what string) {
	if fault := recover(); fault != nil {
		m.Warn("%s failed: %v", what, fault)
	}
}

// shutdown has about two seconds, of which it takes fewer: deliver, hand over the rest, and stop.
func (m *Manager) shutdown(event lambdaapi.Event) {
	end := time.Now().Add(m.Settings.ShutdownBudget)
	if event.DeadlineMs > 0 {
		if limit := event.Deadline().Add(-m.Settings.Margin); limit.Before(end) {
			end = limit
		}
	}
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	m.Outbox.Forgive()
	// What is under way may have been so since before a freeze, and all else waits for it.
	defer time.AfterFunc(m.Settings.ThawGrace, m.stopBackground).Stop()
	m.Watcher.ShuttingDown(ctx, strings.ToLower(event.ShutdownReason))
	m.Watcher.BeforeFlush()
	part := max(time.Until(end), 0)
	if m.HandOver != nil {
		// The same part of less time, if there is less.
		part = time.Duration(float64(part) * float64(m.Settings.ShutdownFlush) / float64(m.Settings.ShutdownBudget))
	}
	flushCtx, stop := context.WithTimeout(ctx, part)
	defer stop()
	err := m.Outbox.Flush(flushCtx)
	// Nothing may be sent while the rest is handed over.
	m.stopBackground()
	if m.HandOver != nil {
		select {
		case m.inFlight <- struct{}{}:
		case <-ctx.Done():
			m.Warn("undelivered telemetry could not be handed over, it stays in the spool: %v", ctx.Err())
			return
		}
		if handErr := m.HandOver(ctx); handErr != nil {
			m.Warn("undelivered telemetry could not be handed over, it stays in the spool: %v", errors.Join(handErr, err))
		}
		return
	}
	if left := m.Outbox.PendingBytes(); left > 0 {
		m.Warn("%d bytes of telemetry stay in the spool, since no bucket is named to hand them over to: %v", left, err)
	}
}

// Idle answers events and does nothing else, for an extension that could not start: the function must not notice.
func Idle(ctx context.Context, api API) error {
	for {
		event, err := api.Next(ctx)
		if err != nil {
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		}
		if event.Type == lambdaapi.Shutdown {
			return nil
		}
	}
}
