package main

import "fmt"

// setOptions applies the values of a flag such as --consumer-opt: "name,value"
// each, or a name alone for options that are true or false.
func setOptions(flag string, set func(pair string) error, values []string) error {
	for _, given := range values {
		if err := set(given); err != nil {
			return usageError{fmt.Errorf("%s %s: %w", flag, given, err)}
		}
	}
	return nil
}
