package main

import (
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// sources says where the value of each flag that is set came from, by the
// flag's name.
type sources map[string]string

// byKey is the source of each flag, by its key in the config file.
func (from sources) byKey(fs *flag.FlagSet) map[string]string {
	all := map[string]string{}
	fs.VisitAll(func(f *flag.Flag) {
		source := from[f.Name]
		if source == "" {
			source = "default"
		}
		all[configKey(f)] = source
	})
	return all
}

// fromLine is the source of what stands on the command line.
const fromLine = "command line"

// configKey is a flag's key in the config file.
func configKey(f *flag.Flag) string {
	if key := configKeys[f.Name]; key != "" {
		return key
	}
	return strings.ReplaceAll(f.Name, "-", "_")
}

// listing is every option in force and where it came from, as a config file
// that says the same, secrets aside.
func listing(fs *flag.FlagSet, from sources) string {
	var b strings.Builder
	fs.VisitAll(func(f *flag.Flag) {
		if says(f.Name) {
			return
		}
		source := from[f.Name]
		if source == "" {
			source = "default"
		}
		mark := ""
		value := tomlValue(f.Value)
		if source == "default" && (value == `""` || value == "[]") {
			mark = "# " // nothing has been said, and nothing is meant
		} else if secrets[f.Name] {
			mark, value = "# ", "..."
		}
		fmt.Fprintf(&b, "%s%s = %s # %s\n", mark, configKey(f), value, printableSource(source))
	})
	return b.String()
}

// tomlValue is a flag's value as fromFile reads it.
func tomlValue(v flag.Value) string {
	g, ok := v.(flag.Getter)
	if !ok {
		return strconv.Quote(v.String())
	}
	switch got := g.Get().(type) {
	case int, int64, bool:
		return v.String()
	case time.Duration:
		return strconv.Quote(got.String())
	case []float64:
		all := make([]string, len(got))
		for i, n := range got {
			all[i] = strconv.FormatFloat(n, 'f', -1, 64)
			if !strings.Contains(all[i], ".") {
				all[i] += ".0"
			}
		}
		return "[" + strings.Join(all, ", ") + "]"
	case []string:
		if _, single := v.(interface{ IsBoolFlag() bool }); single {
			return strconv.Quote(v.String()) // a word that may also be true or false
		}
		all := make([]string, len(got))
		for i, text := range got {
			all[i] = strconv.Quote(text)
		}
		return "[" + strings.Join(all, ", ") + "]"
	}
	return strconv.Quote(v.String())
}

// printableSource keeps a path from ending its comment.
func printableSource(source string) string {
	if printable(source) {
		return source
	}
	return strconv.Quote(source)
}
