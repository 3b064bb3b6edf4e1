package lifecycle

import (
	"testing"
	"time"
)

func TestCadence(t *testing.T) {
	repeat := func(gap time.Duration, times int) (gaps []time.Duration) {
		for range times {
			gaps = append(gaps, gap)
		}
		return gaps
	}
	for _, tc := range []struct {
		desc string
		gaps []time.Duration
		want bool
	}{
		{desc: "one invocation"},
		{desc: "too few to tell", gaps: repeat(time.Second, 9)},
		{desc: "frequent", gaps: repeat(time.Second, 10), want: true},
		{desc: "rare", gaps: repeat(time.Minute, 30)},
		{desc: "at the limit", gaps: repeat(10*time.Second, 20), want: true},
		{desc: "one pause among many", gaps: append(repeat(time.Second, 20), 30*time.Second), want: true},
		{desc: "became rare", gaps: append(repeat(time.Second, 20), repeat(40*time.Second, 5)...)},
		{desc: "became frequent", gaps: append(repeat(40*time.Second, 20), repeat(100*time.Millisecond, 20)...), want: true},
		{desc: "a long pause begins anew", gaps: append(repeat(time.Second, 20), time.Hour)},
		{desc: "a clock that goes back", gaps: append(repeat(time.Second, 20), -time.Hour), want: true},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			c := Cadence{Frequent: 10 * time.Second, WarmUp: 10}
			now := time.Unix(1_000_000, 0)
			c.Observe(now)
			for _, gap := range tc.gaps {
				now = now.Add(gap)
				c.Observe(now)
			}
			if got := c.IsFrequent(); got != tc.want {
				t.Errorf("frequent is %v with a mean of %v", got, c.mean)
			}
		})
	}
}
