// Package bufferprocessor is the Collector's processor `buffer`: it acknowledges telemetry as soon as that is stored,
// and passes it on when the extension's lifecycle decides to deliver.
package bufferprocessor
