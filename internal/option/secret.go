package option

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Secret is what the environment variable name says, or what stands in the file
// that name_FILE names, without the newline at its end. source is the variable
// that said it; ok is false when there is neither. Errors do not repeat a secret.
func Secret(getenv func(name string) (value string, ok bool), name string) (value, source string, ok bool, err error) {
	value, ok = getenv(name)
	path, byFile := getenv(name + "_FILE")
	if !byFile {
		return value, name, ok, nil
	}
	source = name + "_FILE"
	if ok {
		return "", source, false, fmt.Errorf("%s and %s are both set; one of them says it", name, source)
	}
	value, err = line(path)
	if err != nil {
		return "", source, false, fmt.Errorf("%s: %w", source, err)
	}
	return value, source, true, nil
}

// secretMost is how many bytes such a file has at most.
const secretMost = 64 << 10

// line is what stands in a file, without the newline at its end.
func line(path string) (string, error) {
	switch info, err := os.Stat(path); {
	case err != nil:
		return "", err
	case info.Size() > secretMost:
		return "", fmt.Errorf("%s has %d bytes; at most %d are read", path, info.Size(), secretMost)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if value == "" {
		return "", errors.New(path + " is empty")
	}
	return value, nil
}
