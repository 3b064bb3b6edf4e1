// Package lambdatest plays the parts that surround an extension: Lambda's Extensions and Telemetry APIs, an OTLP
// backend, and a bucket. It is for tests.
package lambdatest
