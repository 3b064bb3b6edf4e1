package lifecycleextension

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
)

// Type is the extension's name in a configuration.
var Type = component.MustNewType("lambda_lifecycle")

// NewFactory makes the factory of extensions that report to ends and keep their connections in pool.
func NewFactory(ends Ends, pool *Connections) extension.Factory {
	return extension.NewFactory(Type,
		func() component.Config { return &Config{} },
		func(context.Context, extension.Settings, component.Config) (extension.Extension, error) {
			return &middleware{ends: ends, pool: pool}, nil
		},
		component.StabilityLevelDevelopment)
}
