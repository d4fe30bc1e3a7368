package option

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Table is the options of a T by name, each with what sets it from text. An
// empty text is that of an option which is named without a value.
type Table[T any] map[string]func(o *T, value string) error

// Set sets an option; - and _ in its name are the same. known is false, and
// nothing has happened, when the table does not have it.
func (t Table[T]) Set(o *T, name, value string) (known bool, err error) {
	set, known := t[Key(name)]
	if !known {
		return false, nil
	}
	if err := set(o, value); err != nil {
		return true, fmt.Errorf("option %s: %w", name, err)
	}
	return true, nil
}

// Names are the names in the table, in order.
func (t Table[T]) Names() []string { return slices.Sorted(maps.Keys(t)) }

// Key is a name as tables have it.
func Key(name string) string { return strings.ReplaceAll(name, "-", "_") }

// Unknown is the error about a name that none of those known is.
func Unknown(name string, known []string) error {
	return fmt.Errorf("there is no option %q%s", name, Meant(Key(name), known))
}

// Pair splits "name,value", as flags of NSQ's programs have it. A name alone
// has the value "".
func Pair(text string) (name, value string) {
	name, value, _ = strings.Cut(text, ",")
	return name, value
}

// Text sets a field as it is.
func Text[T any](field func(*T) *string) func(*T, string) error {
	return func(o *T, v string) error {
		*field(o) = v
		return nil
	}
}

// List sets a field from a list with commas.
func List[T any](field func(*T) *[]string) func(*T, string) error {
	return func(o *T, v string) error {
		all := strings.Split(v, ",")
		for i, one := range all {
			if all[i] = strings.TrimSpace(one); all[i] == "" {
				return fmt.Errorf("want a list with commas and nothing empty in it, not %q", v)
			}
		}
		*field(o) = all
		return nil
	}
}

// Number sets a field from decimal digits.
func Number[T any](field func(*T) *int) func(*T, string) error {
	return func(o *T, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil {
			return fmt.Errorf("want a number, not %q", v)
		}
		*field(o) = n
		return nil
	}
}

// Bool sets a field from true or false, 1 or 0. No value is true.
func Bool[T any](field func(*T) *bool) func(*T, string) error {
	return func(o *T, v string) error {
		on, err := ParseBool(v)
		if err == nil {
			*field(o) = on
		}
		return err
	}
}

// ParseBool reads true or false, 1 or 0. No value is true.
func ParseBool(v string) (bool, error) {
	if v == "" {
		return true, nil
	}
	on, err := strconv.ParseBool(v)
	if err != nil {
		return false, fmt.Errorf("want true or false, not %q", v)
	}
	return on, nil
}

// Duration sets a field from text with a unit, or from a number of
// milliseconds, as in NSQ.
func Duration[T any](field func(*T) *time.Duration) func(*T, string) error {
	return func(o *T, v string) error {
		d, err := ParseDuration(v)
		if err == nil {
			*field(o) = d
		}
		return err
	}
}

// Off is Duration for fields whose zero value is a default: 0, which NSQ's
// clients take for off, becomes negative.
func Off[T any](field func(*T) *time.Duration) func(*T, string) error {
	return func(o *T, v string) error {
		d, err := ParseDuration(v)
		if err != nil {
			return err
		}
		if d == 0 {
			d = -1
		}
		*field(o) = d
		return nil
	}
}

// OffPart sets a field from a number from 0 to 1, where 0, which NSQ's clients
// take for off, becomes negative.
func OffPart[T any](field func(*T) *float64) func(*T, string) error {
	return func(o *T, v string) error {
		f, err := strconv.ParseFloat(v, 64)
		if err != nil || !(f >= 0 && f <= 1) {
			return fmt.Errorf("want a number from 0 to 1, not %q", v)
		}
		if f == 0 {
			f = -1
		}
		*field(o) = f
		return nil
	}
}

// ParseDuration reads text with a unit, or a number of milliseconds.
func ParseDuration(v string) (time.Duration, error) {
	if ms, err := strconv.ParseInt(v, 10, 32); err == nil {
		return time.Duration(ms) * time.Millisecond, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		return 0, fmt.Errorf("want a duration as in 1m30s, or a number of milliseconds, not %q", v)
	}
	return d, nil
}

// Refuse is for an option that has no counterpart here. why says what there is
// instead.
func Refuse[T any](why string) func(*T, string) error {
	return func(*T, string) error { return fmt.Errorf("not an option here: %s", why) }
}
