package extension

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"neuro-preprocess/collector/internal/outbox"
	"neuro-preprocess/collector/internal/platform"
)

// The variables of the extension itself. Those that choose where telemetry goes are in package embedded.
const (
	envRuntimeAPI = "AWS_LAMBDA_RUNTIME_API"
	envInitType   = "AWS_LAMBDA_INITIALIZATION_TYPE"
	// envSpoolDir is the folder of undelivered telemetry; the temporary folder's `otel-spool` if it is not set.
	envSpoolDir = "OTEL_LAMBDA_SPOOL_DIR"
	// envLogs lists which log lines are taken from the platform: `function`, `platform`, both, or none.
	envLogs = "OTEL_LAMBDA_PLATFORM_LOGS"

	managedInstances = "lambda-managed-instances"
)

const (
	spoolBytes   = 64 << 20
	refusedBytes = 2 << 20
	memoryBytes  = 8 << 20
	requestBytes = 1 << 20
)

func spoolDir(getenv func(string) string) string {
	if dir := getenv(envSpoolDir); dir != "" {
		return dir
	}
	return filepath.Join(os.TempDir(), "otel-spool")
}

func outboxOptions(dir string) outbox.Options {
	return outbox.Options{
		Dir:          filepath.Join(dir, "pending"),
		RefusedDir:   filepath.Join(dir, "refused"),
		SpoolBytes:   spoolBytes,
		RefusedBytes: refusedBytes,
		MemoryBytes:  memoryBytes,
		RequestBytes: requestBytes,
		// The wall clock: the monotonic one may stand still while the machine is frozen.
		Now: func() time.Time { return time.Now().Round(0) },
	}
}

// telemetryTypes are what the platform is asked for. The lines of extensions are never among them: ours would come back
// to us.
func telemetryTypes(getenv func(string) string) (types []string, hasPlatformLogs bool) {
	types = []string{"platform"}
	for name := range strings.SplitSeq(getenv(envLogs), ",") {
		switch strings.TrimSpace(name) {
		case platform.TypeFunction:
			types = append(types, platform.TypeFunction)
		case "platform":
			hasPlatformLogs = true
		}
	}
	return types, hasPlatformLogs
}

// newInstanceID is a random UUID, the identity of this process as a writer of metrics.
func newInstanceID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}
