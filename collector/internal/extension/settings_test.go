package extension

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestReadmeListsEverySetting holds the README's table to the variables that the code reads.
func TestReadmeListsEverySetting(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	// What Lambda itself sets is not for a user to set.
	platforms := []string{"AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SAM_LOCAL", "OTEL_LAMBDA_INSTANCE_ID"}
	variable := regexp.MustCompile(`"((?:OTEL|OPENTELEMETRY|GRAFANA|AWS)_[A-Z0-9_]+)"`)
	found := 0
	err = filepath.WalkDir("../..", func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, match := range variable.FindAllSubmatch(source, -1) {
			name := string(match[1])
			found++
			if !slices.Contains(platforms, name) && !strings.Contains(string(readme), "`"+name+"`") {
				t.Errorf("%s, read in %s, is not in the README", name, path)
			}
		}
		return nil
	})
	if err != nil || found < 10 {
		t.Errorf("found %d variables, error %v", found, err)
	}
}

func TestTelemetryTypes(t *testing.T) {
	for _, tc := range []struct {
		value        string
		want         []string
		wantPlatform bool
	}{
		{value: "", want: []string{"platform"}},
		{value: "function", want: []string{"platform", "function"}},
		{value: "platform", want: []string{"platform"}, wantPlatform: true},
		{value: "function, platform, extension", want: []string{"platform", "function"}, wantPlatform: true},
	} {
		types, hasPlatform := telemetryTypes(func(string) string { return tc.value })
		if !slices.Equal(types, tc.want) || hasPlatform != tc.wantPlatform {
			t.Errorf("%q is %v, %v", tc.value, types, hasPlatform)
		}
	}
}
