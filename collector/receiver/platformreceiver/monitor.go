package platformreceiver

import (
	"context"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"neuro-preprocess/collector/internal/openspans"
	"neuro-preprocess/collector/internal/outbox"
	"neuro-preprocess/collector/internal/platform"
)

const (
	scopeName = "neuro-preprocess/collector/receiver/platformreceiver"

	// reportInterval is the least time between two reports of metrics: an invocation a second shall not mean a
	// request a second.
	reportInterval = 10 * time.Second
	// lastEventsWait bounds the wait at SHUTDOWN for what the platform still has to say.
	lastEventsWait = 150 * time.Millisecond
)

// Monitor follows the life of one environment. It is safe for use by several goroutines.
type Monitor struct {
	function Function
	folder   openspans.Folder
	roots    *openspans.Roots
	stats    func() outbox.Stats
	// ended is told of invocations that the platform says are over.
	ended func(requestID string)
	now   func() time.Time

	mu       sync.Mutex
	traces   consumer.Traces
	metrics  consumer.Metrics
	logs     consumer.Logs
	leftOpen consumer.Traces // takes the spans that processes left open
	ending   map[string]bool // files of the notes whose spans are on their way there
	meter    *meter
	own      ownReport
	init     initPhase
	known    invocations
	current  *invocation // the newest that has begun; never nil
	reported time.Time
}

// NewMonitor makes the monitor of a function. Ended may be nil.
func NewMonitor(
	f Function, folder openspans.Folder, roots *openspans.Roots, stats func() outbox.Stats, ended func(string),
) *Monitor {
	return &Monitor{
		function: f, folder: folder, roots: roots, stats: stats, ended: ended, now: time.Now, meter: newMeter(time.Now()),
		ending: map[string]bool{}, current: newInvocation(""),
	}
}

func (m *Monitor) attachTraces(next consumer.Traces) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.traces = next
}

func (m *Monitor) attachMetrics(next consumer.Metrics) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.metrics = next
}

func (m *Monitor) attachLogs(next consumer.Logs) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.logs = next
}

// Deliver takes events of the platform.
func (m *Monitor) Deliver(events []platform.Event) {
	var out batch
	for _, event := range events {
		m.mu.Lock()
		m.observe(event, &out)
		m.mu.Unlock()
		// After the event was dealt with, so that a flush that begins at this signal finds its consequences.
		if event.Type == platform.TypeRuntimeDone && m.ended != nil {
			if done, ok := platform.As[platform.RuntimeDone](event); ok {
				out.emit(m)
				m.ended(done.RequestID)
			}
		}
	}
	out.emit(m)
}

// observe deals with one event.
func (m *Monitor) observe(event platform.Event, out *batch) {
	switch event.Type {
	case platform.TypeInitStart:
		if record, ok := platform.As[platform.InitStart](event); ok {
			m.initStarted(event.Time, record)
		}
	case platform.TypeInitRuntimeDone:
		if record, ok := platform.As[platform.InitRuntimeDone](event); ok {
			m.init.end(event.Time, record)
		}
	case platform.TypeInitReport:
		if record, ok := platform.As[platform.InitReport](event); ok {
			m.meter.record(metricInitDuration, platform.Milliseconds(record.Metrics.DurationMs).Seconds())
		}
	case platform.TypeStart:
		if record, ok := platform.As[platform.Start](event); ok {
			m.started(record.RequestID, event.Time)
		}
	case platform.TypeRuntimeDone:
		if record, ok := platform.As[platform.RuntimeDone](event); ok {
			m.runtimeDone(event.Time, record, out)
		}
	case platform.TypeReport:
		if record, ok := platform.As[platform.Report](event); ok {
			m.report(record)
		}
	case platform.TypeLogsDropped:
		if record, ok := platform.As[platform.LogsDropped](event); ok {
			m.meter.add(metricLogsDropped, float64(record.DroppedRecords))
		}
	}
	if ld, ok := m.logOf(event); ok {
		out.logs = append(out.logs, ld)
	}
}

func (m *Monitor) initStarted(at time.Time, record platform.InitStart) {
	m.init.begin(at, record)
	if m.init.isColdStart {
		m.meter.add(metricColdStarts, 1)
	}
}

// started takes note of an invocation, by whichever of its two signs comes first. The platform's sign may come after
// the next invocation has begun, which then stays the current one.
func (m *Monitor) started(requestID string, at time.Time) {
	inv := m.known.of(requestID)
	isLate := !at.IsZero() && at.Before(m.current.start)
	if !inv.hasBegun && !isLate {
		m.current = inv
	}
	inv.hasBegun = true
	if !at.IsZero() {
		inv.start = at
	}
}

func (m *Monitor) runtimeDone(at time.Time, record platform.RuntimeDone, out *batch) {
	inv := m.known.of(record.RequestID)
	if inv.isCounted {
		return
	}
	m.count(inv)
	duration, ok := platform.Duration(record.Spans, platform.SpanResponseLatency, platform.SpanResponseDuration)
	if !ok {
		duration = platform.Milliseconds(record.Metrics.DurationMs)
	}
	m.meter.record(metricInvokeDuration, duration.Seconds())
	if record.Status != platform.StatusSuccess {
		m.failed(inv, at, record.Status, record.ErrorType, out)
	}
}

func (m *Monitor) count(inv *invocation) {
	inv.isCounted = true
	m.meter.add(metricInvocations, 1)
}

// failed counts the failure of an invocation, and ends the spans that it left open.
func (m *Monitor) failed(inv *invocation, at time.Time, status, errorType string, out *batch) {
	message := "the invocation failed"
	if status == platform.StatusTimeout {
		m.meter.add(metricTimeouts, 1)
		message = "the invocation ran into the function's timeout"
	} else {
		m.meter.add(metricErrors, 1)
	}
	errorType = orElse(errorType, status)
	if at.IsZero() {
		at = m.now()
	}
	if status != platform.StatusError {
		// Its process is no more. One whose handler raised lives, and ends its spans itself.
		ofInvocation := func(n openspans.Note) bool { return n.Invocation == inv.requestID || n.Invocation == "" }
		if m.endNoted(ofInvocation, at, errorType, message, out) > 0 {
			return
		}
	}
	if !m.hasSpan(inv) {
		out.traces = append(out.traces, m.rootSpan(inv, at, errorType, message))
	}
}

func (m *Monitor) report(record platform.Report) {
	billed := platform.Milliseconds(record.Metrics.BilledDurationMs).Seconds()
	m.meter.add(metricBilledDuration, billed)
	m.meter.add(metricBilledMemory, billed*record.Metrics.MemorySizeMB/1024)
	if used := record.Metrics.MaxMemoryUsedMB; used > 0 {
		m.meter.record(metricMemUsage, used*mebibyte)
	}
	if overhead, ok := platform.Duration(record.Spans, platform.SpanExtensionOverhead); ok {
		m.meter.record(metricExtensionOverhead, overhead.Seconds())
	}
	m.known.of(record.RequestID).settle()
}

// Invoked is called at the begin of an invocation.
func (m *Monitor) Invoked(requestID string, _ time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.known.of(requestID).hasBegun {
		m.started(requestID, m.now())
	}
}

// BeforeFlush puts what was measured so far on its way, unless that was done a moment ago.
func (m *Monitor) BeforeFlush() { m.flush(false) }

func (m *Monitor) flush(isLast bool) {
	m.mu.Lock()
	now := m.now()
	var out batch
	if td, ok := m.initSpan(isLast); ok {
		out.traces = append(out.traces, td)
	}
	var md pmetric.Metrics
	next := m.metrics
	isDue := next != nil && (isLast || now.Sub(m.reported) >= reportInterval)
	if isDue {
		md = m.collect(now)
		m.reported = now
	}
	m.mu.Unlock()
	out.emit(m)
	if isDue && md.MetricCount() > 0 {
		_ = next.ConsumeMetrics(context.Background(), md)
	}
}

func (m *Monitor) collect(now time.Time) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	m.function.fill(rm.Resource(), m.function.ServiceName)
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName(scopeName)
	since := m.meter.since
	if !m.meter.isEmpty() {
		m.meter.collect(now, sm.Metrics())
	}
	m.own.collect(m.stats(), since, now, sm.Metrics())
	return md
}

// ShuttingDown waits a moment for the platform's last events, ends what is open, and puts all of it on its way.
func (m *Monitor) ShuttingDown(ctx context.Context, reason string) {
	status := statusOf(reason)
	isFailure := status == platform.StatusTimeout || strings.Contains(status, "fail")
	m.mu.Lock()
	current := m.current
	isWaiting := current.requestID != "" && (isFailure || !current.isCounted || reason == "spindown")
	m.mu.Unlock()
	if isWaiting {
		ctx, cancel := context.WithTimeout(ctx, lastEventsWait)
		select {
		case <-current.settled:
		case <-ctx.Done():
		}
		cancel()
	}
	var out batch
	m.mu.Lock()
	if isFailure && m.current.requestID != "" && !m.current.isCounted {
		// The platform has not told, or has no way to: the reason is all there is to know.
		m.count(m.current)
		m.failed(m.current, m.now(), status, "", &out)
	}
	// What no invocation is known for ended with the environment, and for the same reason.
	errorType := "environment_ended"
	if isFailure {
		errorType = status
	}
	m.endNoted(ofAny, m.now(), errorType, "the environment ended before the span did", &out)
	m.mu.Unlock()
	out.emit(m)
	m.flush(true)
}

// statusOf is the status that a reason for SHUTDOWN amounts to. The local emulator has a word of its own for what
// Lambda calls a failure; error types shall be the same in both.
func statusOf(shutdownReason string) string {
	if shutdownReason == "releasefail" {
		return platform.StatusFailure
	}
	return shutdownReason
}
