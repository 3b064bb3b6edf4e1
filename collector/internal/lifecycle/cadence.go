package lifecycle

import "time"

// Cadence learns how often invocations come, from a decaying mean of the time between them. While they are rare, or
// too few to tell, telemetry is delivered at the end of each; when they are frequent, in the background of a later
// one, which costs the function nothing.
type Cadence struct {
	// Frequent is the mean gap below which invocations count as frequent.
	Frequent time.Duration
	// WarmUp is how many must have been seen to tell.
	WarmUp int

	seen int
	last time.Time
	mean time.Duration
}

// decay is the weight of the newest gap: about the last ten decide.
const decay = 0.2

// Observe takes note of an invocation that begins.
func (c *Cadence) Observe(now time.Time) {
	if c.seen > 0 {
		gap := max(now.Sub(c.last), 0)
		switch {
		case c.seen == 1:
			c.mean = gap
		case gap > 10*c.Frequent:
			// After so long a pause what was learnt before it says nothing: begin anew.
			c.mean, c.seen = gap, 1
		default:
			c.mean += time.Duration(decay * float64(gap-c.mean))
		}
	}
	c.seen++
	c.last = now
}

// IsFrequent reports whether the next invocation can be expected soon.
func (c *Cadence) IsFrequent() bool {
	return c.seen > c.WarmUp && c.mean <= c.Frequent
}
