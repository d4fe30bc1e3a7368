package main

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/nsqloop/nsqloop/internal/option"
)

// configKeys are the keys that are not the flag's name with _ for -.
var configKeys = map[string]string{
	"node-id":                           "id",
	"lookupd-tcp-address":               "nsqlookupd_tcp_addresses",
	"lookupd-http-address":              "nsqlookupd_http_addresses",
	"nsqd-http-address":                 "nsqd_http_addresses",
	"admin-user":                        "admin_users",
	"auth-http-address":                 "auth_http_addresses",
	"e2e-processing-latency-percentile": "e2e_processing_latency_percentiles",
}

// fromFile sets the flags that have no source yet from a config file. Keys that it
// does not know are named in the warnings and otherwise ignored, as nsqd
// ignores them: one file often serves several versions.
func fromFile(fs *flag.FlagSet, from sources, path string) (warnings []string, err error) {
	file, err := readConfig(path)
	if err != nil {
		return nil, err
	}
	return fromKeys(fs, from, path, file)
}

// readConfig reads a config file.
func readConfig(path string) (map[string]any, error) {
	var file map[string]any
	if _, err := toml.DecodeFile(path, &file); err != nil {
		return nil, fmt.Errorf("config %s: %w", path, err)
	}
	return file, nil
}

// fromTables is fromFile for a process with several roles: each has a table of
// its name. What is misspelt is an error: such a file is for this program.
func fromTables(path string, roles map[*flag.FlagSet]sources) error {
	file, err := readConfig(path)
	if err != nil {
		return err
	}
	for fs, from := range roles {
		table, ok := file[fs.Name()].(map[string]any)
		if !ok && file[fs.Name()] != nil {
			return fmt.Errorf("config %s: %s is no table", path, fs.Name())
		}
		delete(file, fs.Name())
		var known []string
		fs.VisitAll(func(f *flag.Flag) { known = append(known, configKey(f)) })
		for key := range table {
			if !slices.Contains(known, key) {
				return fmt.Errorf("config %s: [%s] has no key %s%s", path, fs.Name(), key, option.Meant(key, known))
			}
		}
		if _, err := fromKeys(fs, from, path, table); err != nil {
			return err
		}
	}
	for key := range file {
		return fmt.Errorf("config %s: %s stands outside of [nsqd], [nsqlookupd] and [nsqadmin]; nsqd-lite nsqd --config=%s takes it there", path, key, path)
	}
	return nil
}

// fromKeys sets flags from the keys of a file, or of one of its tables.
func fromKeys(fs *flag.FlagSet, from sources, path string, file map[string]any) (warnings []string, err error) {
	known := map[string]bool{}
	fs.VisitAll(func(f *flag.Flag) {
		key := configKey(f)
		value, there := file[key]
		known[key] = there && !says(f.Name)
		if !known[key] || from[f.Name] != "" || err != nil {
			return
		}
		from[f.Name] = path
		if bad := setFromTOML(fs, f, value); bad != nil {
			err = fmt.Errorf("config %s: %s: %w", path, key, bad)
		}
	})
	if err != nil {
		return nil, err
	}
	for key := range file {
		if !known[key] {
			warnings = append(warnings, fmt.Sprintf("config %s: unknown key %s is ignored", path, key))
		}
	}
	slices.Sort(warnings)
	return warnings, nil
}

// setFromTOML sets a flag from a value of the file, which must be of the
// flag's type. A duration may also be an integer, of milliseconds, and a list
// also a string with commas.
func setFromTOML(fs *flag.FlagSet, f *flag.Flag, value any) error {
	var kind any
	if g, ok := f.Value.(flag.Getter); ok {
		kind = g.Get()
	}
	switch kind.(type) {
	case time.Duration:
		if n, ok := value.(int64); ok {
			return fs.Set(f.Name, (time.Duration(n) * time.Millisecond).String())
		}
		if text, ok := value.(string); ok && fs.Set(f.Name, text) == nil {
			return nil
		}
		return errors.New(`must be a string with a unit, as "1m30s", or an integer of milliseconds`)
	case int, int64:
		if n, ok := value.(int64); ok {
			return fs.Set(f.Name, strconv.FormatInt(n, 10))
		}
		return errors.New("must be an integer")
	case bool:
		if b, ok := value.(bool); ok {
			return fs.Set(f.Name, strconv.FormatBool(b))
		}
		return errors.New("must be true or false")
	case []float64:
		return setList(fs, f, value, func(v any) (string, bool) {
			n, ok := v.(float64)
			return strconv.FormatFloat(n, 'g', -1, 64), ok
		})
	case []string:
		if _, single := f.Value.(interface{ IsBoolFlag() bool }); single { // tls_required
			switch value := value.(type) {
			case bool:
				return fs.Set(f.Name, strconv.FormatBool(value))
			case string:
				return fs.Set(f.Name, value)
			}
			return errors.New("must be true, false or a string")
		}
		return setList(fs, f, value, func(v any) (string, bool) {
			text, ok := v.(string)
			return text, ok
		})
	}
	text, ok := value.(string)
	if !ok {
		return errors.New("must be a string")
	}
	return fs.Set(f.Name, text)
}

func setList(fs *flag.FlagSet, f *flag.Flag, value any, one func(any) (string, bool)) error {
	if text, ok := value.(string); ok {
		return fs.Set(f.Name, text)
	}
	list, ok := value.([]any)
	if !ok {
		return errors.New("must be a list")
	}
	for _, v := range list {
		text, ok := one(v)
		if !ok {
			return errors.New("has an element of the wrong type")
		}
		if err := fs.Set(f.Name, text); err != nil {
			return err
		}
	}
	return nil
}
