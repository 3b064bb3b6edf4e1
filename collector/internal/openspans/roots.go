package openspans

import (
	"iter"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

const (
	// invocationKey and its older name tell which invocation a span is the span of.
	invocationKey    = "faas.invocation_id"
	oldInvocationKey = "faas.execution"

	// maxRoots bounds the memory of which invocations have a span.
	maxRoots = 256
)

// Root says where an invocation's span stands.
type Root struct {
	TraceID  pcommon.TraceID
	SpanID   pcommon.SpanID
	ParentID pcommon.SpanID
}

// Roots knows invocations whose spans have come. It is safe for use by several goroutines.
type Roots struct {
	mu    sync.Mutex
	byID  map[string]Root // without a span if all that is known is that it was handed over
	order []string
}

// Observe looks for spans of invocations.
func (r *Roots) Observe(td ptrace.Traces) {
	for span := range allSpans(td) {
		if id, ok := invocationOf(span); ok {
			r.add(id, rootOf(span))
		}
	}
}

// HandedOver takes note that the function's telemetry layer has handed over all of an invocation. Its span may be left
// out by a sampler before it comes.
func (r *Roots) HandedOver(requestID string) { r.add(requestID, Root{}) }

func (r *Roots) add(requestID string, root Root) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID == nil {
		r.byID = map[string]Root{}
	}
	known, isKnown := r.byID[requestID]
	if isKnown && root == (Root{}) {
		root = known
	}
	if !isKnown {
		if len(r.order) >= maxRoots {
			delete(r.byID, r.order[0])
			r.order = r.order[1:]
		}
		r.order = append(r.order, requestID)
	}
	r.byID[requestID] = root
}

// Of returns where the span of an invocation stands, if it has come.
func (r *Roots) Of(requestID string) (Root, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	root := r.byID[requestID]
	return root, root != Root{}
}

// Has reports whether an invocation has a span that has come, or was handed over and left out.
func (r *Roots) Has(requestID string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.byID[requestID]
	return ok
}

func invocationOf(span ptrace.Span) (string, bool) {
	id, ok := span.Attributes().Get(invocationKey)
	if !ok {
		id, ok = span.Attributes().Get(oldInvocationKey)
	}
	return id.Str(), ok
}

func rootOf(span ptrace.Span) Root {
	return Root{TraceID: span.TraceID(), SpanID: span.SpanID(), ParentID: span.ParentSpanID()}
}

// allSpans goes through all spans of a request.
func allSpans(td ptrace.Traces) iter.Seq[ptrace.Span] {
	return func(yield func(ptrace.Span) bool) {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					if !yield(span) {
						return
					}
				}
			}
		}
	}
}
