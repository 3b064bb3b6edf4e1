package openspans

import (
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

const (
	// invocationKey and its older name tell which invocation a span is the span of.
	invocationKey    = "faas.invocation_id"
	oldInvocationKey = "faas.execution"

	// maxOpen bounds what is remembered; a function announces its invocation and what runs in it.
	maxOpen = 4096
	// maxSeen bounds the memory of which invocations have a span.
	maxSeen = 256
)

// Root says where an invocation's span stands.
type Root struct {
	TraceID  pcommon.TraceID
	SpanID   pcommon.SpanID
	ParentID pcommon.SpanID
}

// Sink takes ended spans back into the pipeline that announced them.
type Sink func(ptrace.Traces) error

// Tracker is safe for use by several goroutines.
type Tracker struct {
	mu      sync.Mutex
	open    map[spanKey]announcement
	order   []spanKey
	roots   map[string]Root
	seen    []string
	journal *journal
	orphans ptrace.Traces // of an earlier process, until there is a pipeline for them
}

// announcement is one span with its resource and scope, where it came from, and the invocation it belongs to.
type announcement struct {
	td        ptrace.Traces
	sink      Sink
	requestID string // empty if not known
}

type spanKey struct {
	trace pcommon.TraceID
	span  pcommon.SpanID
}

// New makes a tracker that keeps its announcements in a file. Those that an earlier process left in it are ended: that
// process's end was theirs. Without a path, or if the file cannot be used, it works in memory.
func New(path string) *Tracker {
	t := &Tracker{open: map[spanKey]announcement{}, roots: map[string]Root{}, orphans: ptrace.NewTraces()}
	if path != "" {
		t.journal, t.orphans = openJournal(path)
		Mark(t.orphans, time.Now(), "environment_reset", "the environment was reset before the span ended")
	}
	return t
}

// Attach gives what an earlier process left to the first pipeline that there is. The file is not emptied before that
// has it.
func (t *Tracker) Attach(sink Sink) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.orphans.SpanCount() > 0 && sink(t.orphans) == nil {
		t.orphans = ptrace.NewTraces()
		t.save()
	}
}

// Observe takes announcements out of td, and forgets those whose span ends in it.
func (t *Tracker) Observe(td ptrace.Traces, sink Sink) {
	t.mu.Lock()
	defer t.mu.Unlock()
	changed := false
	td.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
		rs.ScopeSpans().RemoveIf(func(ss ptrace.ScopeSpans) bool {
			ss.Spans().RemoveIf(func(span ptrace.Span) bool {
				t.noteInvocation(span)
				key := spanKey{span.TraceID(), span.SpanID()}
				if span.EndTimestamp() == 0 {
					t.announce(key, rs, ss, span, sink)
					changed = true
					return true
				}
				if len(t.open) > 0 {
					changed = t.forget(key) || changed
				}
				return false
			})
			return ss.Spans().Len() == 0
		})
		return rs.ScopeSpans().Len() == 0
	})
	if changed {
		t.save()
	}
}

func (t *Tracker) announce(key spanKey, rs ptrace.ResourceSpans, ss ptrace.ScopeSpans, span ptrace.Span, sink Sink) {
	earlier, again := t.open[key]
	if !again {
		if len(t.open) >= maxOpen {
			return
		}
		t.order = append(t.order, key)
	}
	one := ptrace.NewTraces()
	rsCopy := one.ResourceSpans().AppendEmpty()
	rs.Resource().CopyTo(rsCopy.Resource())
	rsCopy.SetSchemaUrl(rs.SchemaUrl())
	ssCopy := rsCopy.ScopeSpans().AppendEmpty()
	ss.Scope().CopyTo(ssCopy.Scope())
	ssCopy.SetSchemaUrl(ss.SchemaUrl())
	span.CopyTo(ssCopy.Spans().AppendEmpty())
	requestID := earlier.requestID
	if requestID == "" {
		requestID = t.requestOf(span)
	}
	t.open[key] = announcement{td: one, sink: sink, requestID: requestID}
}

// requestOf finds the invocation that a span belongs to. The trace alone does not always tell, since an environment
// may work on one trace in several invocations: the span's open parent goes before it, and then the newest invocation.
func (t *Tracker) requestOf(span ptrace.Span) string {
	if id, ok := invocationOf(span); ok {
		return id
	}
	if parent := t.open[spanKey{span.TraceID(), span.ParentSpanID()}]; parent.requestID != "" {
		return parent.requestID
	}
	for _, id := range slices.Backward(t.seen) {
		if t.roots[id].TraceID == span.TraceID() {
			return id
		}
	}
	return ""
}

func (t *Tracker) forget(key spanKey) bool {
	if _, ok := t.open[key]; !ok {
		return false
	}
	delete(t.open, key)
	for i, k := range t.order {
		if k == key {
			t.order = append(t.order[:i], t.order[i+1:]...)
			break
		}
	}
	return true
}

func (t *Tracker) noteInvocation(span ptrace.Span) {
	id, ok := invocationOf(span)
	if !ok {
		return
	}
	if _, known := t.roots[id]; !known {
		if len(t.seen) >= maxSeen {
			delete(t.roots, t.seen[0])
			t.seen = t.seen[1:]
		}
		t.seen = append(t.seen, id)
	}
	t.roots[id] = Root{TraceID: span.TraceID(), SpanID: span.SpanID(), ParentID: span.ParentSpanID()}
}

func invocationOf(span ptrace.Span) (string, bool) {
	id, ok := span.Attributes().Get(invocationKey)
	if !ok {
		id, ok = span.Attributes().Get(oldInvocationKey)
	}
	return id.Str(), ok
}

// Root returns where the span of an invocation stands, if one was seen, announced or ended.
func (t *Tracker) Root(requestID string) (Root, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	root, ok := t.roots[requestID]
	return root, ok
}

// Len is the number of open spans.
func (t *Tracker) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.open)
}

// End ends all open spans as failed, and gives them back to the pipelines they came from.
func (t *Tracker) End(at time.Time, errorType, message string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end(func(spanKey, announcement) bool { return true }, at, errorType, message)
}

// EndInvocation is End for the open spans of one invocation; it returns how many there were. Spans that no invocation
// is known for stay open.
func (t *Tracker) EndInvocation(requestID string, at time.Time, errorType, message string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	root, isKnown := t.roots[requestID]
	return t.end(func(key spanKey, a announcement) bool {
		if a.requestID != "" {
			return a.requestID == requestID
		}
		// It was announced before its invocation's span was.
		return isKnown && key.trace == root.TraceID
	}, at, errorType, message)
}

func (t *Tracker) end(isMeant func(spanKey, announcement) bool, at time.Time, errorType, message string) int {
	before := len(t.order)
	t.order = slices.DeleteFunc(t.order, func(key spanKey) bool {
		a := t.open[key]
		if !isMeant(key, a) {
			return false
		}
		Mark(a.td, at, errorType, message)
		_ = a.sink(a.td)
		delete(t.open, key)
		return true
	})
	ended := before - len(t.order)
	if ended > 0 {
		t.save()
	}
	return ended
}

// Mark ends spans that have no end, as failed. A span never ends before it began, whatever the clocks say.
func Mark(td ptrace.Traces, at time.Time, errorType, message string) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				if span.EndTimestamp() != 0 {
					continue
				}
				span.SetEndTimestamp(max(pcommon.NewTimestampFromTime(at), span.StartTimestamp()))
				span.Status().SetCode(ptrace.StatusCodeError)
				span.Status().SetMessage(message)
				span.Attributes().PutStr("error.type", errorType)
			}
		}
	}
}

func (t *Tracker) save() {
	if t.journal == nil {
		return
	}
	all := ptrace.NewTraces()
	t.orphans.CopyTo(all)
	for _, key := range t.order {
		for _, rs := range t.open[key].td.ResourceSpans().All() {
			rs.CopyTo(all.ResourceSpans().AppendEmpty())
		}
	}
	t.journal.save(all)
}

// Close lets go of the file.
func (t *Tracker) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.journal != nil {
		t.journal.close()
		t.journal = nil
	}
}
