// Package attributesprocessor is the Collector's processor `attributes`: it inserts, updates, deletes, hashes, extracts
// and converts attributes of spans, data points and log records. Its configuration is a part of that of contrib's
// processor of the same name, which cannot be used here: with it comes a whole transformation language, thirteen
// megabytes that every cold start would load.
package attributesprocessor
