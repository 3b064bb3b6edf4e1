package lifecycleextension

import "go.opentelemetry.io/collector/component"

// Config is empty: nothing of it is for a user to choose.
type Config struct {
	// prevent unkeyed literal initialization
	_ struct{}
}

var _ component.Config = (*Config)(nil)
