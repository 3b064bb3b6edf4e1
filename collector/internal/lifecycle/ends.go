package lifecycle

import "sync"

// Ends carries the end signals of invocations from wherever they arrive to the one place that waits for them. A
// signal may come before anyone waits for it; it is then kept.
type Ends struct {
	mu       sync.Mutex
	current  string
	done     chan struct{}
	early    map[string]struct{} // said to be over while not the current one
	posted   chan struct{}
	hasLayer bool
}

// maxEarly bounds what is remembered; two or three are ever needed.
const maxEarly = 64

// NewEnds makes an empty one.
func NewEnds() *Ends {
	return &Ends{posted: make(chan struct{}, 1), early: map[string]struct{}{}}
}

// Begin makes an invocation the current one, and returns a channel that is closed at its end.
func (e *Ends) Begin(requestID string) <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.current, e.done = requestID, make(chan struct{})
	if _, over := e.early[requestID]; over {
		close(e.done)
		e.current = ""
	}
	clear(e.early)
	return e.done
}

// ByLayer is called when the function's telemetry layer has handed over all of an invocation.
func (e *Ends) ByLayer(requestID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hasLayer = true
	e.end(requestID)
}

// ByPlatform is called when the platform says that the runtime is done with an invocation.
func (e *Ends) ByPlatform(requestID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.end(requestID)
}

func (e *Ends) end(requestID string) {
	if e.current == "" || e.current != requestID {
		if len(e.early) < maxEarly {
			e.early[requestID] = struct{}{}
		}
		return
	}
	close(e.done)
	e.current = ""
}

// Posted is called whenever telemetry arrives from the function.
func (e *Ends) Posted() {
	select {
	case e.posted <- struct{}{}:
	default:
	}
}

// HasLayer reports whether a telemetry layer has ever ended an invocation.
func (e *Ends) HasLayer() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.hasLayer
}
