package platformreceiver

import (
	"slices"
	"sort"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// The names of what is measured. Where a semantic convention exists its name is used.
const (
	metricInvocations       = "faas.invocations"
	metricErrors            = "faas.errors"
	metricTimeouts          = "faas.timeouts"
	metricColdStarts        = "faas.coldstarts"
	metricInvokeDuration    = "faas.invoke_duration"
	metricInitDuration      = "faas.init_duration"
	metricMemUsage          = "faas.mem_usage"
	metricBilledDuration    = "aws.lambda.billed_duration"
	metricBilledMemory      = "aws.lambda.billed_memory"
	metricExtensionOverhead = "aws.lambda.extension_overhead"
	metricLogsDropped       = "aws.lambda.logs_dropped"

	metricItems         = "lambda_collector.items"
	metricDamaged       = "lambda_collector.spool.damaged"
	metricPendingBytes  = "lambda_collector.pending"
	metricFlushDuration = "lambda_collector.flush_duration"
)

const mebibyte = 1 << 20

// secondsBounds reach from a warm no-op to the longest invocation that Lambda allows.
var secondsBounds = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 900}

// memoryBounds are the sizes that functions commonly have.
var memoryBounds = []float64{
	64 * mebibyte, 128 * mebibyte, 256 * mebibyte, 512 * mebibyte, 1024 * mebibyte, 1769 * mebibyte, 2048 * mebibyte,
	3072 * mebibyte, 4096 * mebibyte, 6144 * mebibyte, 8192 * mebibyte, 10240 * mebibyte,
}

// counters that are reported as zero from the start, so that their first increment is an increase.
var counters = map[string]struct{ unit, description string }{
	metricInvocations:    {"{invocation}", "Invocations that ended, whatever their outcome."},
	metricErrors:         {"{error}", "Invocations that failed, timeouts not among them."},
	metricTimeouts:       {"{timeout}", "Invocations that ran into the function's timeout."},
	metricColdStarts:     {"{coldstart}", "Environments that were started for an invocation that waited for them."},
	metricBilledDuration: {"s", "Duration that is billed."},
	metricBilledMemory:   {"GBy.s", "Memory times duration that is billed."},
	metricLogsDropped:    {"{record}", "Records that the platform could not deliver to this extension."},
}

// histograms and their buckets.
var histograms = map[string]struct {
	unit, description string
	bounds            []float64
}{
	metricInvokeDuration: {"s", "Time from the call of the handler to the end of its response.", secondsBounds},
	metricInitDuration:   {"s", "Time of the function's initialisation.", secondsBounds},
	metricMemUsage:       {"By", "Most memory that the environment used by the end of an invocation.", memoryBounds},
	metricExtensionOverhead: {
		"s", "Time that extensions added to an invocation after its response.", secondsBounds,
	},
}

// meter adds up what is measured between two collections. It is not safe for use by several goroutines.
type meter struct {
	since time.Time
	sums  map[string]float64
	hists map[string]*histogram
}

type histogram struct {
	counts   []uint64
	count    uint64
	sum      float64
	min, max float64
}

func newMeter(now time.Time) *meter {
	m := &meter{since: now, sums: map[string]float64{}, hists: map[string]*histogram{}}
	for name := range counters {
		m.sums[name] = 0
	}
	return m
}

func (m *meter) add(name string, value float64) { m.sums[name] += value }

func (m *meter) record(name string, value float64) {
	bounds := histograms[name].bounds
	h := m.hists[name]
	if h == nil {
		h = &histogram{counts: make([]uint64, len(bounds)+1), min: value, max: value}
		m.hists[name] = h
	}
	// Bucket i holds values up to and with bounds[i].
	h.counts[sort.SearchFloat64s(bounds, value)]++
	h.count++
	h.sum += value
	h.min, h.max = min(h.min, value), max(h.max, value)
}

// collect moves what was measured since the last collection into scope, as delta.
func (m *meter) collect(now time.Time, scope pmetric.MetricSlice) {
	start, end := pcommon.NewTimestampFromTime(m.since), pcommon.NewTimestampFromTime(now)
	for _, name := range sortedKeys(m.sums) {
		about := counters[name]
		point := newSum(scope, name, about.unit, about.description).DataPoints().AppendEmpty()
		point.SetStartTimestamp(start)
		point.SetTimestamp(end)
		point.SetDoubleValue(m.sums[name])
	}
	for _, name := range sortedKeys(m.hists) {
		about, h := histograms[name], m.hists[name]
		metric := scope.AppendEmpty()
		metric.SetName(name)
		metric.SetUnit(about.unit)
		metric.SetDescription(about.description)
		histogram := metric.SetEmptyHistogram()
		histogram.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		point := histogram.DataPoints().AppendEmpty()
		point.SetStartTimestamp(start)
		point.SetTimestamp(end)
		point.ExplicitBounds().FromRaw(about.bounds)
		point.BucketCounts().FromRaw(h.counts)
		point.SetCount(h.count)
		point.SetSum(h.sum)
		point.SetMin(h.min)
		point.SetMax(h.max)
	}
	m.since = now
	clear(m.sums)
	clear(m.hists)
}

func (m *meter) isEmpty() bool { return len(m.sums) == 0 && len(m.hists) == 0 }

func newSum(scope pmetric.MetricSlice, name, unit, description string) pmetric.Sum {
	metric := scope.AppendEmpty()
	metric.SetName(name)
	metric.SetUnit(unit)
	metric.SetDescription(description)
	sum := metric.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	return sum
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
