// Package platform reads what Lambda says about a function through its Telemetry API. It imports nothing of the
// Collector.
package platform
