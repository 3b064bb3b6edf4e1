package embedded

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/confmap"

	"neuro-preprocess/collector/extension/lifecycleextension"
	"neuro-preprocess/collector/processor/bufferprocessor"
	"neuro-preprocess/collector/receiver/platformreceiver"
)

// lambdaConverter fits a configuration to an environment that may be frozen at any time: every pipeline ends in a
// buffer, exporters neither queue nor retry by themselves, and the lifecycle sees requests come and go. Configurations
// written for the Collector layer of OpenTelemetry load as they are: its `batch` and `decouple` do what the buffer
// does.
type lambdaConverter struct {
	// warn prints one line.
	warn func(format string, args ...any)
}

func (c lambdaConverter) factory() confmap.ConverterFactory {
	return confmap.NewConverterFactory(func(confmap.ConverterSettings) confmap.Converter { return c })
}

const (
	exportTimeout    = "5s"
	writeBufferBytes = 16 << 10
)

// Convert changes the configuration in place.
func (c lambdaConverter) Convert(_ context.Context, conf *confmap.Conf) error {
	config := conf.ToStringMap()
	lifecycleID := lifecycleextension.Type.String()
	var mapped []string

	mapped = append(mapped, renameReceiver(config)...)
	mapped = append(mapped, dropProcessors(config)...)
	renameExporters(config)
	for id, pipeline := range section(section(config, "service"), "pipelines") {
		p, ok := pipeline.(map[string]any)
		if !ok {
			continue
		}
		bufferID := bufferprocessor.Type.String() + "/" + id
		setDefault(sectionMade(config, "processors"), bufferID, map[string]any{})
		processors, _ := p["processors"].([]any)
		p["processors"] = append(slices.Clip(processors), bufferID)
		addSpansLeftOpen(config, id, p)
	}
	for id, exporter := range section(config, "exporters") {
		fitExporter(id, exporter, section(config, "exporters"), lifecycleID)
	}
	for id, receiver := range section(config, "receivers") {
		if typeOf(id) == "otlp" {
			fitReceiver(receiver, lifecycleID)
		}
	}
	sectionMade(config, "extensions")[lifecycleID] = map[string]any{}
	service := sectionMade(config, "service")
	for id := range section(config, "exporters") {
		if typeOf(id) == "debug" {
			// What it shows are log lines of level info: whoever names it wants to see them.
			setDefault(sectionMade(sectionMade(service, "telemetry"), "logs"), "level", "info")
		}
	}
	extensions, _ := service["extensions"].([]any)
	if !slices.Contains(extensions, any(lifecycleID)) {
		service["extensions"] = append(slices.Clip(extensions), lifecycleID)
	}
	if len(mapped) > 0 {
		slices.Sort(mapped)
		c.warn("the buffer of this extension does the work of %s from the configuration", strings.Join(slices.Compact(mapped), ", "))
	}
	*conf = *confmap.NewFromStringMap(config)
	return nil
}

// addSpansLeftOpen lets spans that a function could not end take the way that it sends its spans by.
func addSpansLeftOpen(config map[string]any, pipelineID string, pipeline map[string]any) {
	receivers, _ := pipeline["receivers"].([]any)
	isOTLP := func(id any) bool { return typeOf(fmt.Sprint(id)) == "otlp" }
	if typeOf(pipelineID) == "traces" && slices.ContainsFunc(receivers, isOTLP) {
		leftOpen := platformreceiver.LeftOpenType.String()
		setDefault(sectionMade(config, "receivers"), leftOpen, map[string]any{})
		pipeline["receivers"] = append(slices.Clip(receivers), leftOpen)
	}
}

// replaced are the processors of other layers whose work is done here by other parts.
var replaced = map[string]bool{"batch": true, "decouple": true, "coldstart": true}

func dropProcessors(config map[string]any) (mapped []string) {
	processors := section(config, "processors")
	for id := range processors {
		if replaced[typeOf(id)] {
			delete(processors, id)
		}
	}
	for _, pipeline := range section(section(config, "service"), "pipelines") {
		p, ok := pipeline.(map[string]any)
		if !ok {
			continue
		}
		ids, _ := p["processors"].([]any)
		p["processors"] = slices.DeleteFunc(slices.Clone(ids), func(id any) bool {
			name := fmt.Sprint(id)
			if !replaced[typeOf(name)] {
				return false
			}
			mapped = append(mapped, "`"+name+"`")
			return true
		})
	}
	return mapped
}

// renameReceiver maps the receiver of platform events of another layer to ours, which takes none of its options.
func renameReceiver(config map[string]any) (mapped []string) {
	const theirs, ours = "telemetryapi", "lambda_platform"
	receivers := section(config, "receivers")
	for id := range maps.Clone(receivers) {
		if typeOf(id) == theirs {
			delete(receivers, id)
			receivers[ours] = map[string]any{}
			mapped = append(mapped, "`"+id+"`")
		}
	}
	for _, pipeline := range section(section(config, "service"), "pipelines") {
		p, ok := pipeline.(map[string]any)
		if !ok {
			continue
		}
		ids, _ := p["receivers"].([]any)
		for i, id := range ids {
			if typeOf(fmt.Sprint(id)) == theirs {
				ids[i] = ours
			}
		}
	}
	return mapped
}

// formerNames are those of before, of which the Collector warns at each start.
var formerNames = map[string]string{"otlphttp": "otlp_http", "otlp": "otlp_grpc"}

func renameExporters(config map[string]any) {
	exporters := section(config, "exporters")
	renamed := map[string]string{}
	for id := range exporters {
		name, isFormer := formerNames[typeOf(id)]
		if !isFormer {
			continue
		}
		present := name + strings.TrimPrefix(strings.TrimSpace(id), typeOf(id))
		if _, isTaken := exporters[present]; !isTaken {
			renamed[id] = present
		}
	}
	for former, present := range renamed {
		exporters[present] = exporters[former]
		delete(exporters, former)
	}
	for _, pipeline := range section(section(config, "service"), "pipelines") {
		p, _ := pipeline.(map[string]any)
		ids, _ := p["exporters"].([]any)
		for i, id := range ids {
			if present, isRenamed := renamed[fmt.Sprint(id)]; isRenamed {
				ids[i] = present
			}
		}
	}
}

// fitExporter leaves queueing and retrying to the buffer, which knows when the machine is awake.
func fitExporter(id string, exporter any, exporters map[string]any, lifecycleID string) {
	kind := typeOf(id)
	isHTTP := kind == "otlp_http"
	if !isHTTP && kind != "otlp_grpc" {
		return
	}
	e, ok := exporter.(map[string]any)
	if !ok {
		e = map[string]any{}
	}
	exporters[id] = e
	e["sending_queue"] = map[string]any{"enabled": false}
	e["retry_on_failure"] = map[string]any{"enabled": false}
	setDefault(e, "timeout", exportTimeout)
	addMiddleware(e, lifecycleID)
	if !isHTTP {
		return
	}
	// HTTP/2 shares one connection among all requests, and one that died in a freeze would take them all along.
	setDefault(e, "force_attempt_http2", false)
	// The stock size is for a stream of large requests.
	setDefault(e, "write_buffer_size", writeBufferBytes)
	if _, isSet := e["compression"]; isSet {
		return
	}
	if endpoint, _ := e["endpoint"].(string); isLoopback(endpoint) {
		// To this machine bytes cost less than their compression.
		e["compression"] = "none"
		return
	}
	e["compression"] = "gzip"
	setDefault(e, "compression_params", map[string]any{"level": 1})
}

func isLoopback(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return ip.IsLoopback() || u.Hostname() == "localhost"
}

func fitReceiver(receiver any, lifecycleID string) {
	r, _ := receiver.(map[string]any)
	protocols := section(r, "protocols")
	http, has := protocols["http"]
	if !has {
		return
	}
	h, ok := http.(map[string]any)
	if !ok {
		h = map[string]any{}
	}
	protocols["http"] = h
	addMiddleware(h, lifecycleID)
}

func addMiddleware(config map[string]any, lifecycleID string) {
	middlewares, _ := config["middlewares"].([]any)
	config["middlewares"] = append(slices.Clip(middlewares), map[string]any{"id": lifecycleID})
}

func typeOf(id string) string {
	kind, _, _ := strings.Cut(id, "/")
	return strings.TrimSpace(kind)
}

func setDefault(config map[string]any, key string, value any) {
	if _, isSet := config[key]; !isSet {
		config[key] = value
	}
}

// section returns a part of the configuration, empty if it is not there.
func section(config map[string]any, key string) map[string]any {
	s, _ := config[key].(map[string]any)
	return s
}

// sectionMade returns a part of the configuration, and makes it if it is not there.
func sectionMade(config map[string]any, key string) map[string]any {
	s := section(config, key)
	if s == nil {
		s = map[string]any{}
		config[key] = s
	}
	return s
}
