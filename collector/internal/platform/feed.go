package platform

import "sync"

// maxHeld bounds what is held for a receiver that is not there yet.
const maxHeld = 1000

// Feed passes events from the listener, which exists before the Collector does, to the receiver in it. Until that is
// there the events are held.
type Feed struct {
	mu   sync.Mutex
	held []Event
	sink func([]Event)
}

// Deliver passes events on.
func (f *Feed) Deliver(events []Event) {
	f.mu.Lock()
	sink := f.sink
	if sink == nil && len(f.held) < maxHeld {
		f.held = append(f.held, events...)
	}
	f.mu.Unlock()
	if sink != nil {
		sink(events)
	}
}

// Attach names the receiver, and gives it what was held.
func (f *Feed) Attach(sink func([]Event)) {
	f.mu.Lock()
	held := f.held
	f.held, f.sink = nil, sink
	f.mu.Unlock()
	if len(held) > 0 {
		sink(held)
	}
}
