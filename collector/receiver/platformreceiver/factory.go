package platformreceiver

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
)

// Type is the receiver's name in a configuration.
var Type = component.MustNewType("lambda_platform")

// LeftOpenType is the name of the receiver of spans that were left open. The extension adds it to pipelines.
var LeftOpenType = component.MustNewType("lambda_open_spans")

// NewFactory makes the factory of receivers that pass on what a monitor makes. The monitor exists before the Collector
// does and outlives it; a receiver only tells it where its telemetry goes.
func NewFactory(m *Monitor) receiver.Factory {
	return receiver.NewFactory(Type,
		func() component.Config { return &Config{} },
		receiver.WithTraces(func(_ context.Context, _ receiver.Settings, _ component.Config, next consumer.Traces) (receiver.Traces, error) {
			return &started{start: func() { m.attachTraces(next) }}, nil
		}, component.StabilityLevelDevelopment),
		receiver.WithMetrics(func(_ context.Context, _ receiver.Settings, _ component.Config, next consumer.Metrics) (receiver.Metrics, error) {
			return &started{start: func() { m.attachMetrics(next) }}, nil
		}, component.StabilityLevelDevelopment),
		receiver.WithLogs(func(_ context.Context, _ receiver.Settings, _ component.Config, next consumer.Logs) (receiver.Logs, error) {
			return &started{start: func() { m.attachLogs(next) }}, nil
		}, component.StabilityLevelDevelopment))
}

// NewLeftOpenFactory makes the factory of receivers of spans that processes of the function left open.
func NewLeftOpenFactory(m *Monitor) receiver.Factory {
	return receiver.NewFactory(LeftOpenType,
		func() component.Config { return &Config{} },
		receiver.WithTraces(func(_ context.Context, _ receiver.Settings, _ component.Config, next consumer.Traces) (receiver.Traces, error) {
			return &started{start: func() { m.attachLeftOpen(next) }}, nil
		}, component.StabilityLevelDevelopment))
}

// started is a receiver of one signal.
type started struct {
	start func()
}

func (s *started) Start(context.Context, component.Host) error {
	s.start()
	return nil
}

func (*started) Shutdown(context.Context) error { return nil }
