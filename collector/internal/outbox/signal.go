package outbox

// Signal is a kind of telemetry. The numbers are written to files and must not change.
type Signal uint8

// The signals.
const (
	Traces  Signal = 1
	Metrics Signal = 2
	Logs    Signal = 3
)

// Signals are all of them, in the order of their numbers.
var Signals = [...]Signal{Traces, Metrics, Logs}

func (s Signal) String() string {
	switch s {
	case Traces:
		return "traces"
	case Metrics:
		return "metrics"
	case Logs:
		return "logs"
	default:
		return "unknown"
	}
}

// Codec is what the outbox must know of a payload.
type Codec[T any] interface {
	// Encode gives the OTLP export request.
	Encode(payload T) ([]byte, error)
	// Decode reads an OTLP export request.
	Decode(request []byte) (T, error)
	// Count is the number of spans, data points or log records.
	Count(payload T) int
	// Merge moves all of src to the end of dst.
	Merge(dst, src T)
	// Split moves about half of the payload out; false if it cannot be divided.
	Split(payload T) (half T, ok bool)
}

// Verdict is how a delivery ended.
type Verdict uint8

// The verdicts.
const (
	// Delivered: the backend has it.
	Delivered Verdict = iota
	// Retry: it may work later.
	Retry
	// TooLarge: it may work in smaller pieces.
	TooLarge
	// Refused: the backend will never take it.
	Refused
)
