package bufferprocessor

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"

	"neuro-preprocess/collector/internal/openspans"
	"neuro-preprocess/collector/internal/outbox"
)

// Type is the processor's name in a configuration.
var Type = component.MustNewType("buffer")

// factory holds what all instances share.
type factory struct {
	box   *outbox.Outbox
	roots *openspans.Roots
}

// NewFactory makes the factory of processors over one outbox. Roots are shown what passes.
func NewFactory(box *outbox.Outbox, roots *openspans.Roots) processor.Factory {
	f := &factory{box: box, roots: roots}
	return processor.NewFactory(Type, createDefaultConfig,
		processor.WithTraces(f.createTraces, component.StabilityLevelDevelopment),
		processor.WithMetrics(f.createMetrics, component.StabilityLevelDevelopment),
		processor.WithLogs(f.createLogs, component.StabilityLevelDevelopment))
}

func createDefaultConfig() component.Config { return &Config{} }

func (f *factory) createTraces(_ context.Context, set processor.Settings, _ component.Config, next consumer.Traces) (processor.Traces, error) {
	lane := outbox.Register(f.box, set.ID.String(), outbox.Traces, tracesCodec{}, sender(set.Logger, next.ConsumeTraces))
	return &buffer[ptrace.Traces]{lane: lane, before: f.roots.Observe, isEmpty: func(td ptrace.Traces) bool { return td.ResourceSpans().Len() == 0 }}, nil
}

func (f *factory) createMetrics(_ context.Context, set processor.Settings, _ component.Config, next consumer.Metrics) (processor.Metrics, error) {
	lane := outbox.Register(f.box, set.ID.String(), outbox.Metrics, metricsCodec{}, sender(set.Logger, next.ConsumeMetrics))
	return &buffer[pmetric.Metrics]{lane: lane, isEmpty: func(md pmetric.Metrics) bool { return md.ResourceMetrics().Len() == 0 }}, nil
}

func (f *factory) createLogs(_ context.Context, set processor.Settings, _ component.Config, next consumer.Logs) (processor.Logs, error) {
	lane := outbox.Register(f.box, set.ID.String(), outbox.Logs, logsCodec{}, sender(set.Logger, next.ConsumeLogs))
	return &buffer[plog.Logs]{lane: lane, isEmpty: func(ld plog.Logs) bool { return ld.ResourceLogs().Len() == 0 }}, nil
}
