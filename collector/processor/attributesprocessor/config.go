package attributesprocessor

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// The actions.
const (
	actionInsert  = "insert"
	actionUpdate  = "update"
	actionUpsert  = "upsert"
	actionDelete  = "delete"
	actionHash    = "hash"
	actionExtract = "extract"
	actionConvert = "convert"
)

var (
	errNoActions = errors.New("`actions` must list at least one action")
	errFilter    = errors.New("`include` and `exclude` are not in this extension: filter at the gateway")
)

// Config lists what is done to each set of attributes, in that order.
type Config struct {
	// Actions has no default: a processor that does nothing is a mistake.
	Actions []ActionConfig `mapstructure:"actions"`
	// Include and Exclude belong to contrib's processor. They are read only to be refused with a reason.
	Include map[string]any `mapstructure:"include"`
	Exclude map[string]any `mapstructure:"exclude"`
}

// ActionConfig is one action.
type ActionConfig struct {
	// Key of the attribute. It may be empty for `delete` and `hash` with a pattern.
	Key string `mapstructure:"key"`
	// Action is one of insert, update, upsert, delete, hash, extract and convert.
	Action string `mapstructure:"action"`
	// Value or FromAttribute is the source of insert, update and upsert.
	Value         any    `mapstructure:"value"`
	FromAttribute string `mapstructure:"from_attribute"`
	// Pattern matches keys for delete and hash; for extract its named groups become attributes.
	Pattern string `mapstructure:"pattern"`
	// ConvertedType of convert is string, int or double.
	ConvertedType string `mapstructure:"converted_type"`
}

var _ component.Config = (*Config)(nil)

// Validate names the key that is wrong.
func (c *Config) Validate() error {
	if len(c.Include) > 0 || len(c.Exclude) > 0 {
		return errFilter
	}
	if len(c.Actions) == 0 {
		return errNoActions
	}
	_, err := compile(c.Actions)
	return err
}

// compile turns a configuration into something that can be applied.
func compile(configs []ActionConfig) ([]action, error) {
	actions := make([]action, 0, len(configs))
	for i, config := range configs {
		a, err := config.compile()
		if err != nil {
			return nil, fmt.Errorf("actions[%d]: %w", i, err)
		}
		actions = append(actions, a)
	}
	return actions, nil
}

func (c ActionConfig) compile() (action, error) {
	a := action{kind: strings.ToLower(c.Action), key: c.Key, from: c.FromAttribute, target: c.ConvertedType}
	hasSource := c.Value != nil || c.FromAttribute != ""
	takesPattern := a.kind == actionDelete || a.kind == actionHash
	if c.Key == "" && !(takesPattern && c.Pattern != "") {
		return a, errors.New("`key` is missing")
	}
	switch a.kind {
	case actionInsert, actionUpdate, actionUpsert:
		if hasSource == (c.Value != nil && c.FromAttribute != "") {
			return a, fmt.Errorf("`%s` needs either `value` or `from_attribute`", a.kind)
		}
		if c.Value != nil {
			value := pcommon.NewValueEmpty()
			if err := value.FromRaw(c.Value); err != nil {
				return a, fmt.Errorf("`value`: %w", err)
			}
			a.value = &value
		}
	case actionDelete, actionHash, actionExtract, actionConvert:
		if hasSource {
			return a, fmt.Errorf("`%s` takes neither `value` nor `from_attribute`", a.kind)
		}
	default:
		return a, fmt.Errorf("`action` is %q, which is not known", c.Action)
	}
	if a.kind == actionConvert != (c.ConvertedType != "") || c.ConvertedType != "" && !slices.Contains([]string{"string", "int", "double"}, c.ConvertedType) {
		return a, fmt.Errorf("`converted_type` is %q; `convert` needs string, int or double, other actions take none", c.ConvertedType)
	}
	if c.Pattern == "" {
		if a.kind == actionExtract {
			return a, errors.New("`pattern` is missing")
		}
		return a, nil
	}
	if !takesPattern && a.kind != actionExtract {
		return a, fmt.Errorf("`%s` takes no `pattern`", a.kind)
	}
	pattern, err := regexp.Compile(c.Pattern)
	if err != nil {
		return a, fmt.Errorf("`pattern`: %w", err)
	}
	if names := pattern.SubexpNames(); a.kind == actionExtract && (len(names) < 2 || slices.Contains(names[1:], "")) {
		return a, errors.New("`pattern` of `extract` must have groups, all of them named")
	}
	a.pattern = pattern
	return a, nil
}
