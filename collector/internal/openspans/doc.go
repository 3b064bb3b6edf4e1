// Package openspans reads what the processes of a function note in files: the spans that they have open. A process that
// is killed cannot end its spans any more; what it had noted is then ended here, marked as an error, and delivered like
// any other span.
package openspans
