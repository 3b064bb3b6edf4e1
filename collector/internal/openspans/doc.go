// Package openspans remembers spans that were announced while still running: ordinary OTLP spans whose end is zero. A
// function that is killed cannot end its spans any more; what was announced is then ended here, marked as an error,
// and delivered like any other. A span that ends in the ordinary way is forgotten.
//
// The announcements stand in a small file as well, so that they outlive this process.
package openspans
