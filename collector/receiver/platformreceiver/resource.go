package platformreceiver

import (
	"net/url"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Function is what is known of the function whose environment this is.
type Function struct {
	// ServiceName is `service.name` of what is measured; the platform's log lines stand under it with `-platform`.
	ServiceName string
	Name        string
	Version     string
	Region      string
	AccountID   string
	MemoryMiB   int64
	// Instance is unique to this process: the writer of its metrics.
	Instance string
	// HasPlatformLogs asks for log records of the platform's own events.
	HasPlatformLogs bool
	// Attributes are those of `OTEL_RESOURCE_ATTRIBUTES`.
	Attributes map[string]string
}

// FunctionFrom reads the environment's variables.
func FunctionFrom(getenv func(string) string, instance string) Function {
	f := Function{
		Name:       getenv("AWS_LAMBDA_FUNCTION_NAME"),
		Version:    getenv("AWS_LAMBDA_FUNCTION_VERSION"),
		Region:     getenv("AWS_REGION"),
		Instance:   instance,
		Attributes: parseAttributes(getenv("OTEL_RESOURCE_ATTRIBUTES")),
	}
	f.MemoryMiB, _ = strconv.ParseInt(getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"), 10, 64)
	for _, name := range []string{getenv("OTEL_SERVICE_NAME"), f.Attributes["service.name"], f.Name, "unknown_service"} {
		if name != "" {
			f.ServiceName = name
			break
		}
	}
	return f
}

// parseAttributes reads `key=value,key=value`, values percent-encoded. What is no pair is passed over.
func parseAttributes(list string) map[string]string {
	attributes := map[string]string{}
	for pair := range strings.SplitSeq(list, ",") {
		key, value, ok := strings.Cut(pair, "=")
		decoded, err := url.PathUnescape(strings.TrimSpace(value))
		if key = strings.TrimSpace(key); ok && key != "" && err == nil {
			attributes[key] = decoded
		}
	}
	return attributes
}

func (f Function) fill(resource pcommon.Resource, serviceName string) {
	attributes := resource.Attributes()
	for key, value := range f.Attributes {
		attributes.PutStr(key, value)
	}
	put := func(key, value string) {
		if value != "" {
			attributes.PutStr(key, value)
		}
	}
	put("service.name", serviceName)
	put("service.instance.id", f.Instance)
	put("cloud.provider", "aws")
	put("cloud.platform", "aws_lambda")
	put("cloud.region", f.Region)
	put("cloud.account.id", f.AccountID)
	put("faas.name", f.Name)
	put("faas.version", f.Version)
	if f.MemoryMiB > 0 {
		attributes.PutInt("faas.max_memory", f.MemoryMiB*mebibyte)
	}
}
