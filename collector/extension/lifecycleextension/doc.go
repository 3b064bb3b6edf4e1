// Package lifecycleextension is the Collector's extension `lambda_lifecycle`. As middleware of the OTLP receiver it
// sees the function's telemetry layer say that an invocation is over; as middleware of the OTLP exporters it keeps
// connections from before a freeze out of use, and it notes what a backend answered over HTTP.
package lifecycleextension
