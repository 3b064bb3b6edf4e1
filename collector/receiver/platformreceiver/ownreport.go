package platformreceiver

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"neuro-preprocess/collector/internal/outbox"
)

// ownReport turns the outbox's counts into metrics: what was added to each since the last report.
type ownReport struct {
	last outbox.Stats
}

// outcomes are the values of the attribute `outcome`.
func outcomes(s outbox.SignalStats) map[string]int64 {
	return map[string]int64{
		"accepted": s.Accepted, "spooled": s.Spooled, "at_risk": s.AtRisk, "replayed": s.Replayed,
		"sent": s.Sent, "handed_over": s.HandedOver, "refused": s.Refused, "lost": s.Lost,
	}
}

func (o *ownReport) collect(stats outbox.Stats, since, now time.Time, scope pmetric.MetricSlice) {
	start, end := pcommon.NewTimestampFromTime(since), pcommon.NewTimestampFromTime(now)
	isFirst := o.last.Signal == nil
	var items pmetric.Sum
	hasItems := false
	for _, signal := range outbox.Signals {
		before, after := outcomes(o.last.Signal[signal]), outcomes(stats.Signal[signal])
		for _, outcome := range sortedKeys(after) {
			added := after[outcome] - before[outcome]
			// The first report holds the zeros of what must be noticed when it happens.
			isAlarm := outcome == "lost" || outcome == "refused"
			if added == 0 && !(isFirst && isAlarm) {
				continue
			}
			if !hasItems {
				items = newSum(scope, metricItems, "{item}", "Spans, data points and log records, by what became of them.")
				hasItems = true
			}
			point := items.DataPoints().AppendEmpty()
			point.SetStartTimestamp(start)
			point.SetTimestamp(end)
			point.SetIntValue(added)
			point.Attributes().PutStr("signal", signal.String())
			point.Attributes().PutStr("outcome", outcome)
		}
	}
	if added := stats.DamagedPlaces - o.last.DamagedPlaces; added > 0 {
		point := newSum(scope, metricDamaged, "{place}", "Places in the spool that could not be read.").DataPoints().AppendEmpty()
		point.SetStartTimestamp(start)
		point.SetTimestamp(end)
		point.SetIntValue(added)
	}
	gauge(scope, metricPendingBytes, "By", "Encoded size of what waits for delivery.", end).SetIntValue(stats.PendingBytes)
	gauge(scope, metricFlushDuration, "s", "Time that the last delivery took.", end).SetDoubleValue(stats.LastFlush.Seconds())
	o.last = stats
}

func gauge(scope pmetric.MetricSlice, name, unit, description string, at pcommon.Timestamp) pmetric.NumberDataPoint {
	metric := scope.AppendEmpty()
	metric.SetName(name)
	metric.SetUnit(unit)
	metric.SetDescription(description)
	point := metric.SetEmptyGauge().DataPoints().AppendEmpty()
	point.SetTimestamp(at)
	return point
}
