package embedded

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// The variables that choose where telemetry goes. The standard ones mean what the OpenTelemetry specification says.
const (
	envConfigURI      = "OPENTELEMETRY_COLLECTOR_CONFIG_URI"
	envEndpoint       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	envHeaders        = "OTEL_EXPORTER_OTLP_HEADERS"
	envProtocol       = "OTEL_EXPORTER_OTLP_PROTOCOL"
	envGrafanaURL     = "GRAFANA_CLOUD_OTLP_ENDPOINT"
	envGrafanaID      = "GRAFANA_CLOUD_INSTANCE_ID"
	envGrafanaKey     = "GRAFANA_CLOUD_API_KEY"
	envMetricsMode    = "OTEL_LAMBDA_METRICS_MODE"
	envFunctionMemory = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"
	// envHost is the loopback address to listen on; the function's layer reads it, too.
	envHost = "OTEL_LAMBDA_COLLECTOR_HOST"

	// EnvInstance is set by the extension, for configurations to refer to.
	EnvInstance = "OTEL_LAMBDA_INSTANCE_ID"
)

// The two ways to export metrics.
const (
	// MetricsDirect: cumulative, each environment a writer of its own. For Grafana and any other OTLP backend.
	MetricsDirect = "direct"
	// MetricsGateway: delta, added up by the gateway.
	MetricsGateway = "gateway"
)

const (
	defaultHost = "127.0.0.1"
	httpPort    = "4318"
	grpcPort    = "4317"
)

// Getenv reads a variable; the empty string if it is not set.
type Getenv func(string) string

// ownHost is the address on which the built-in configuration listens.
func ownHost(getenv Getenv) string {
	if host := getenv(envHost); host != "" {
		return host
	}
	return defaultHost
}

// target is where the built-in configuration exports to.
type target struct {
	endpoint string
	isGRPC   bool
	headers  map[string]any
}

// targetFrom reads the variables. A nil target says that none is named, the sentence why.
func targetFrom(getenv Getenv) (*target, string) {
	if endpoint := getenv(envGrafanaURL); endpoint != "" {
		id, key := getenv(envGrafanaID), getenv(envGrafanaKey)
		if id == "" || key == "" {
			return nil, fmt.Sprintf("`%s` is set but `%s` or `%s` is not", envGrafanaURL, envGrafanaID, envGrafanaKey)
		}
		return &target{endpoint: endpoint, headers: map[string]any{"Authorization": basicAuth(id, key)}}, ""
	}
	endpoint := getenv(envEndpoint)
	if endpoint == "" {
		return nil, fmt.Sprintf("neither `%s` nor `%s` nor `%s` is set", envConfigURI, envEndpoint, envGrafanaURL)
	}
	if isOwnAddress(endpoint, ownHost(getenv)) {
		return nil, fmt.Sprintf("`%s` names the extension itself", envEndpoint)
	}
	headers, err := parseHeaders(getenv(envHeaders))
	if err != nil {
		return nil, err.Error()
	}
	return &target{endpoint: endpoint, isGRPC: getenv(envProtocol) == "grpc", headers: headers}, ""
}

// isOwnAddress reports whether an endpoint is one that the extension listens on: exporting to it would go in circles.
func isOwnAddress(endpoint, host string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	if port := u.Port(); port != grpcPort && port != httpPort {
		return false
	}
	return u.Hostname() == host || u.Hostname() == "localhost" && host == defaultHost
}

// parseHeaders reads `name=value,name=value`, values percent-encoded, as the specification has it.
func parseHeaders(list string) (map[string]any, error) {
	headers := map[string]any{}
	for pair := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		decoded, err := url.PathUnescape(strings.TrimSpace(value))
		if name = strings.TrimSpace(name); !ok || name == "" || err != nil {
			// The value may be a secret: only the place is told.
			return nil, fmt.Errorf("`%s` is not a list of `name=value` at header %d", envHeaders, len(headers)+1)
		}
		// A `$` would be taken for a reference when the configuration is resolved.
		headers[name] = strings.ReplaceAll(decoded, "$", "$$")
	}
	return headers, nil
}

// splitURIs divides a list of configuration sources at the commas that are followed by another source, since a source
// like `yaml:` may hold commas itself.
func splitURIs(list string) []string {
	var uris []string
	if strings.TrimSpace(list) == "" {
		return nil
	}
	for part := range strings.SplitSeq(list, ",") {
		begins := false
		for _, prefix := range []string{"/", "./", "file:", "env:", "yaml:", builtInURI} {
			begins = begins || strings.HasPrefix(strings.TrimSpace(part), prefix)
		}
		if begins || len(uris) == 0 {
			uris = append(uris, strings.TrimSpace(part))
			continue
		}
		uris[len(uris)-1] += "," + part
	}
	return uris
}

// memoryLimitMiB is the part of the function's memory that the Collector may fill before it refuses telemetry.
func memoryLimitMiB(getenv Getenv) int {
	const least, most = 48, 256
	size, err := strconv.Atoi(getenv(envFunctionMemory))
	if err != nil {
		return least
	}
	return min(max(size/4, least), most)
}
