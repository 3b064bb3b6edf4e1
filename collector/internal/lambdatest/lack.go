package lambdatest

import (
	"os"
	"testing"
)

// Lack ends a test for which this machine lacks something: it is skipped, and fails in CI, which has to have everything.
func Lack(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("%s; in CI this may not be skipped", reason)
	}
	t.Skip(reason)
}
