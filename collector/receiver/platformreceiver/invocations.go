package platformreceiver

import (
	"time"

	"neuro-preprocess/collector/internal/openspans"
)

// maxKnown bounds the memory of invocations. The platform's events are late by one or two invocations, not by more.
const maxKnown = 64

// invocation is what is known of one. What the platform says of it may come late, and more than once.
type invocation struct {
	requestID string
	start     time.Time
	settled   chan struct{} // closed when its report has come
	hasBegun  bool
	isCounted bool // it is over, and its outcome stands in the metrics
	isSought  bool // whether a process has noted its span
	noted     openspans.Root
}

func newInvocation(requestID string) *invocation {
	return &invocation{requestID: requestID, settled: make(chan struct{})}
}

func (i *invocation) settle() {
	select {
	case <-i.settled:
	default:
		close(i.settled)
	}
}

// invocations are the newest ones. The zero value is ready for use; it is not safe for use by several goroutines.
type invocations struct {
	byID  map[string]*invocation
	order []string
}

// of returns what is known of an invocation, which from then on is among those that are remembered.
func (i *invocations) of(requestID string) *invocation {
	if known, ok := i.byID[requestID]; ok {
		return known
	}
	if i.byID == nil {
		i.byID = map[string]*invocation{}
	}
	if len(i.order) >= maxKnown {
		delete(i.byID, i.order[0])
		i.order = i.order[1:]
	}
	inv := newInvocation(requestID)
	i.byID[requestID] = inv
	i.order = append(i.order, requestID)
	return inv
}
