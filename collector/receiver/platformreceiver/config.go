package platformreceiver

import "go.opentelemetry.io/collector/component"

// Config is empty: which events the platform sends is decided, from the environment, before the Collector's
// configuration is read.
type Config struct {
	// prevent unkeyed literal initialization
	_ struct{}
}

var _ component.Config = (*Config)(nil)
