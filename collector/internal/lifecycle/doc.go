// Package lifecycle decides when an extension works and when it lets its machine be frozen. It knows the events of
// Lambda and the clock; what there is to deliver it asks for through small interfaces, and it imports nothing of the
// Collector.
//
// An invocation ends, for the extension, at the first of three signals: the function's own telemetry layer says so,
// the platform says so, or the deadline is near. Nothing waits without one of these bounds.
package lifecycle
