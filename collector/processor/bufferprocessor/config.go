package bufferprocessor

import "go.opentelemetry.io/collector/component"

// Config is empty: the store is one for all pipelines and is set up by the extension, from its environment, before
// the Collector's configuration is read.
type Config struct {
	// prevent unkeyed literal initialization
	_ struct{}
}

var _ component.Config = (*Config)(nil)
