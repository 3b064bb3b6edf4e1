// Package platformreceiver is the Collector's receiver `lambda_platform`. From what Lambda says about a function it
// makes the span of its initialisation, the span of an invocation that could not end its own, the `faas.*` metrics,
// and, if asked, the function's and the platform's log lines; and it reports what the extension itself accepted,
// delivered and lost.
package platformreceiver
