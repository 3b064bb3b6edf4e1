package attributesprocessor

import (
	"context"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"
)

func load(t *testing.T) *Config {
	t.Helper()
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	sub, err := conf.Sub("attributes")
	if err != nil {
		t.Fatal(err)
	}
	cfg := NewFactory().CreateDefaultConfig().(*Config)
	if err := sub.Unmarshal(cfg); err != nil {
		t.Fatal(err)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func attributes(t *testing.T, raw map[string]any) pcommon.Map {
	t.Helper()
	m := pcommon.NewMap()
	if err := m.FromRaw(raw); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestActions(t *testing.T) {
	for _, tc := range []struct {
		desc   string
		config ActionConfig
		before map[string]any
		want   map[string]any
	}{
		{desc: "delete", config: ActionConfig{Key: "a", Action: "delete"}, before: map[string]any{"a": 1, "b": 2}, want: map[string]any{"b": int64(2)}},
		{desc: "delete in capitals", config: ActionConfig{Key: "a", Action: "DELETE"}, before: map[string]any{"a": 1}, want: map[string]any{}},
		{desc: "delete what is not there", config: ActionConfig{Key: "a", Action: "delete"}, before: map[string]any{"b": 2}, want: map[string]any{"b": int64(2)}},
		{desc: "delete by pattern", config: ActionConfig{Pattern: "^x", Action: "delete"}, before: map[string]any{"x1": 1, "x2": 1, "ax": 2}, want: map[string]any{"ax": int64(2)}},
		{desc: "insert", config: ActionConfig{Key: "a", Action: "insert", Value: "v"}, before: map[string]any{}, want: map[string]any{"a": "v"}},
		{desc: "insert what is there", config: ActionConfig{Key: "a", Action: "insert", Value: "v"}, before: map[string]any{"a": 1}, want: map[string]any{"a": int64(1)}},
		{desc: "update", config: ActionConfig{Key: "a", Action: "update", Value: 2}, before: map[string]any{"a": 1}, want: map[string]any{"a": int64(2)}},
		{desc: "update what is not there", config: ActionConfig{Key: "a", Action: "update", Value: 2}, before: map[string]any{}, want: map[string]any{}},
		{desc: "upsert from another", config: ActionConfig{Key: "a", Action: "upsert", FromAttribute: "b"}, before: map[string]any{"b": "v"}, want: map[string]any{"a": "v", "b": "v"}},
		{desc: "upsert from nothing", config: ActionConfig{Key: "a", Action: "upsert", FromAttribute: "b"}, before: map[string]any{"a": 1}, want: map[string]any{"a": int64(1)}},
		{desc: "hash a text", config: ActionConfig{Key: "a", Action: "hash"}, before: map[string]any{"a": "abc"}, want: map[string]any{"a": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}},
		{desc: "hash by pattern", config: ActionConfig{Pattern: "a", Action: "hash"}, before: map[string]any{"aa": true, "b": true}, want: map[string]any{"aa": "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a", "b": true}},
		{desc: "hash a number", config: ActionConfig{Key: "a", Action: "hash"}, before: map[string]any{"a": 1}, want: map[string]any{"a": "7c9fa136d4413fa6173637e883b6998d32e1d675f88cddff9dcbcf331820f4b8"}},
		{desc: "extract", config: ActionConfig{Key: "a", Action: "extract", Pattern: `^(?P<first>\w+)/(?P<second>\w+)`}, before: map[string]any{"a": "x/y"}, want: map[string]any{"a": "x/y", "first": "x", "second": "y"}},
		{desc: "extract without a match", config: ActionConfig{Key: "a", Action: "extract", Pattern: `(?P<first>\d)`}, before: map[string]any{"a": "x"}, want: map[string]any{"a": "x"}},
		{desc: "extract from a number", config: ActionConfig{Key: "a", Action: "extract", Pattern: `(?P<first>\d)`}, before: map[string]any{"a": 1}, want: map[string]any{"a": int64(1)}},
		{desc: "convert to int", config: ActionConfig{Key: "a", Action: "convert", ConvertedType: "int"}, before: map[string]any{"a": "12"}, want: map[string]any{"a": int64(12)}},
		{desc: "convert what is no int", config: ActionConfig{Key: "a", Action: "convert", ConvertedType: "int"}, before: map[string]any{"a": "x"}, want: map[string]any{"a": "x"}},
		{desc: "convert to double", config: ActionConfig{Key: "a", Action: "convert", ConvertedType: "double"}, before: map[string]any{"a": 2}, want: map[string]any{"a": 2.0}},
		{desc: "convert to text", config: ActionConfig{Key: "a", Action: "convert", ConvertedType: "string"}, before: map[string]any{"a": 2.5}, want: map[string]any{"a": "2.5"}},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			a, err := tc.config.compile()
			if err != nil {
				t.Fatal(err)
			}
			m := attributes(t, tc.before)
			a.apply(m)
			if got := m.AsRaw(); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestValidateNamesTheKey(t *testing.T) {
	for _, tc := range []struct {
		desc   string
		config Config
		want   string
	}{
		{desc: "no actions", config: Config{}, want: "`actions`"},
		{desc: "a filter", config: Config{Include: map[string]any{"match_type": "strict"}}, want: "`include`"},
		{desc: "no key", config: Config{Actions: []ActionConfig{{Action: "delete"}}}, want: "actions[0]: `key`"},
		{desc: "an unknown action", config: Config{Actions: []ActionConfig{{Key: "a", Action: "delete"}, {Key: "a", Action: "drop"}}}, want: "actions[1]: `action`"},
		{desc: "two sources", config: Config{Actions: []ActionConfig{{Key: "a", Action: "insert", Value: 1, FromAttribute: "b"}}}, want: "`from_attribute`"},
		{desc: "no source", config: Config{Actions: []ActionConfig{{Key: "a", Action: "upsert"}}}, want: "`value`"},
		{desc: "a source for delete", config: Config{Actions: []ActionConfig{{Key: "a", Action: "delete", Value: 1}}}, want: "`value`"},
		{desc: "a bad pattern", config: Config{Actions: []ActionConfig{{Key: "a", Action: "delete", Pattern: "("}}}, want: "`pattern`"},
		{desc: "a pattern for insert", config: Config{Actions: []ActionConfig{{Key: "a", Action: "insert", Value: 1, Pattern: "x"}}}, want: "`pattern`"},
		{desc: "an unnamed group", config: Config{Actions: []ActionConfig{{Key: "a", Action: "extract", Pattern: "(x)"}}}, want: "named"},
		{desc: "no pattern for extract", config: Config{Actions: []ActionConfig{{Key: "a", Action: "extract"}}}, want: "`pattern`"},
		{desc: "an unknown type", config: Config{Actions: []ActionConfig{{Key: "a", Action: "convert", ConvertedType: "bool"}}}, want: "`converted_type`"},
		{desc: "a type for delete", config: Config{Actions: []ActionConfig{{Key: "a", Action: "delete", ConvertedType: "int"}}}, want: "`converted_type`"},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			if err := tc.config.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %s", err, tc.want)
			}
		})
	}
}

func TestProcessorActsOnAllSignals(t *testing.T) {
	cfg := load(t)
	set := processortest.NewNopSettings(Type)
	ctx := context.Background()
	before := map[string]any{"user_id": "u", "request.header.cookie": "c", "attempt": "2", "aws.s3.key": "sub-01/anat/x", "user.tier": "gold"}
	want := map[string]any{
		"attempt": int64(2), "aws.s3.key": "sub-01/anat/x", "subject": "sub-01", "user.tier": "gold", "user.plan": "gold",
		"deployment.environment.name": "production",
	}
	check := func(what string, m pcommon.Map) {
		t.Helper()
		if got := m.AsRaw(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v", what, got)
		}
	}

	traces := new(consumertest.TracesSink)
	tp, err := NewFactory().CreateTraces(ctx, set, cfg, traces)
	if err != nil {
		t.Fatal(err)
	}
	td := ptrace.NewTraces()
	attributes(t, before).CopyTo(td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().Attributes())
	if err := tp.ConsumeTraces(ctx, td); err != nil {
		t.Fatal(err)
	}
	check("a span", traces.AllTraces()[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes())

	logs := new(consumertest.LogsSink)
	lp, err := NewFactory().CreateLogs(ctx, set, cfg, logs)
	if err != nil {
		t.Fatal(err)
	}
	ld := plog.NewLogs()
	attributes(t, before).CopyTo(ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Attributes())
	if err := lp.ConsumeLogs(ctx, ld); err != nil {
		t.Fatal(err)
	}
	check("a log record", logs.AllLogs()[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes())

	metrics := new(consumertest.MetricsSink)
	mp, err := NewFactory().CreateMetrics(ctx, set, cfg, metrics)
	if err != nil {
		t.Fatal(err)
	}
	md := pmetric.NewMetrics()
	list := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics()
	points := []pcommon.Map{
		list.AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty().Attributes(),
		list.AppendEmpty().SetEmptySum().DataPoints().AppendEmpty().Attributes(),
		list.AppendEmpty().SetEmptyHistogram().DataPoints().AppendEmpty().Attributes(),
		list.AppendEmpty().SetEmptyExponentialHistogram().DataPoints().AppendEmpty().Attributes(),
		list.AppendEmpty().SetEmptySummary().DataPoints().AppendEmpty().Attributes(),
	}
	for _, point := range points {
		attributes(t, before).CopyTo(point)
	}
	if err := mp.ConsumeMetrics(ctx, md); err != nil {
		t.Fatal(err)
	}
	for _, point := range points {
		check("a data point", point)
	}
}
