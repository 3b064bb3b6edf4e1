// Package outbox holds telemetry between its acknowledgement and its delivery. What is put in stands in the spool
// before Put returns; memory is a cache of that. Delivery happens only when Flush is called, by whoever knows when
// the machine is awake: nothing here runs on a timer.
//
// There is a lane for each pipeline, so that a backend that refuses one signal does not hold up another. The package
// knows nothing of the Collector: what a payload is, a Codec says.
package outbox
