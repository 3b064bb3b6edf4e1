package embedded

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/service/telemetry"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// telemetryConfig is `service::telemetry`. Only the level of logs is used: the Collector's own metrics and traces would
// cost more at start than all the rest, and what the extension has to say about itself it sends with the data.
type telemetryConfig struct {
	level zapcore.Level
}

// Unmarshal takes any configuration that the stock telemetry takes, and uses what it can.
func (c *telemetryConfig) Unmarshal(conf *confmap.Conf) error {
	level, ok := conf.Get("logs::level").(string)
	if !ok {
		return nil
	}
	return c.level.UnmarshalText([]byte(level))
}

// telemetryFactory makes loggers that write to a core; no meters and no tracers.
func telemetryFactory(core func(zapcore.LevelEnabler) zapcore.Core, level zapcore.Level) telemetry.Factory {
	return telemetry.NewFactory(
		func() component.Config { return &telemetryConfig{level: level} },
		telemetry.WithCreateLogger(func(_ context.Context, _ telemetry.LoggerSettings, cfg component.Config) (*zap.Logger, component.ShutdownFunc, error) {
			return zap.New(core(cfg.(*telemetryConfig).level)), nil, nil
		}))
}
