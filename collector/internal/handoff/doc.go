// Package handoff stores telemetry that could not be delivered while its environment lived in a bucket, from where it
// can be delivered later.
//
// What is stored is one gzip stream of one protobuf message:
//
//	message Bundle {
//	  repeated bytes traces  = 1;  // each an opentelemetry ExportTraceServiceRequest
//	  repeated bytes metrics = 2;  // each an ExportMetricsServiceRequest
//	  repeated bytes logs    = 3;  // each an ExportLogsServiceRequest
//	}
//
// so that a reader needs nothing but varints: a tag byte (0x0a, 0x12 or 0x1a), the length, and a request that can be
// posted to `/v1/traces`, `/v1/metrics` or `/v1/logs` as it stands.
package handoff
