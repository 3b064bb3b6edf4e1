package attributesprocessor

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"regexp"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// action is one that can be applied.
type action struct {
	kind    string
	key     string
	value   *pcommon.Value
	from    string
	pattern *regexp.Regexp
	target  string
}

func (a action) apply(attributes pcommon.Map) {
	switch a.kind {
	case actionInsert, actionUpdate, actionUpsert:
		a.set(attributes)
	case actionDelete:
		attributes.Remove(a.key)
		if a.pattern != nil {
			attributes.RemoveIf(func(key string, _ pcommon.Value) bool { return a.pattern.MatchString(key) })
		}
	case actionHash:
		if value, ok := attributes.Get(a.key); ok {
			hash(value)
		}
		if a.pattern != nil {
			for key, value := range attributes.All() {
				if key != a.key && a.pattern.MatchString(key) {
					hash(value)
				}
			}
		}
	case actionExtract:
		a.extract(attributes)
	case actionConvert:
		if value, ok := attributes.Get(a.key); ok {
			convert(value, a.target)
		}
	}
}

func (a action) set(attributes pcommon.Map) {
	present, isPresent := attributes.Get(a.key)
	if isPresent && a.kind == actionInsert || !isPresent && a.kind == actionUpdate {
		return
	}
	// A copy: the map may move its values when a key is added.
	source := pcommon.NewValueEmpty()
	if a.value != nil {
		a.value.CopyTo(source)
	} else if from, ok := attributes.Get(a.from); ok {
		from.CopyTo(source)
	} else {
		return
	}
	if !isPresent {
		present = attributes.PutEmpty(a.key)
	}
	source.CopyTo(present)
}

func (a action) extract(attributes pcommon.Map) {
	value, ok := attributes.Get(a.key)
	if !ok || value.Type() != pcommon.ValueTypeStr {
		return
	}
	groups := a.pattern.FindStringSubmatch(value.Str())
	for i := 1; i < len(groups); i++ {
		attributes.PutStr(a.pattern.SubexpNames()[i], groups[i])
	}
}

// hash replaces a value by the SHA-256 of its bytes, as contrib's processor does, so that a value hashed here and one
// hashed at a gateway are equal. Lists, maps and bytes become empty, as they do there.
func hash(value pcommon.Value) {
	var content []byte
	switch value.Type() {
	case pcommon.ValueTypeStr:
		content = []byte(value.Str())
	case pcommon.ValueTypeBool:
		content = []byte{0}
		if value.Bool() {
			content[0] = 1
		}
	case pcommon.ValueTypeInt:
		content = binary.LittleEndian.AppendUint64(nil, uint64(value.Int()))
	case pcommon.ValueTypeDouble:
		content = binary.LittleEndian.AppendUint64(nil, math.Float64bits(value.Double()))
	default:
		value.SetStr("")
		return
	}
	digest := sha256.Sum256(content)
	value.SetStr(hex.EncodeToString(digest[:]))
}

// convert changes a value's type, and leaves alone what has no equal of the other type.
func convert(value pcommon.Value, target string) {
	switch target {
	case "string":
		value.SetStr(value.AsString())
	case "int":
		switch value.Type() {
		case pcommon.ValueTypeStr:
			if n, err := strconv.ParseInt(value.Str(), 10, 64); err == nil {
				value.SetInt(n)
			}
		case pcommon.ValueTypeDouble:
			value.SetInt(int64(value.Double()))
		case pcommon.ValueTypeBool:
			value.SetInt(int64(boolBit(value.Bool())))
		}
	case "double":
		switch value.Type() {
		case pcommon.ValueTypeStr:
			if f, err := strconv.ParseFloat(value.Str(), 64); err == nil {
				value.SetDouble(f)
			}
		case pcommon.ValueTypeInt:
			value.SetDouble(float64(value.Int()))
		case pcommon.ValueTypeBool:
			value.SetDouble(float64(boolBit(value.Bool())))
		}
	}
}

func boolBit(b bool) int {
	if b {
		return 1
	}
	return 0
}
