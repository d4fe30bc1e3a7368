package datapath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nsqloop/nsqloop/server/diskqueue"
)

// RefuseForeign returns an error when nsqd has left messages in the data path,
// or an import did not come to its end in it: starting beside them would hide
// them. Queues that nsqd has emptied are no messages.
func RefuseForeign(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, Staging)); err == nil {
		return fmt.Errorf("%w: remove %s and import again", ErrUnfinished, dir)
	}
	queues, err := diskqueue.Find(dir)
	if err != nil {
		return fmt.Errorf("open data path: %w", err)
	}
	var first string
	n := 0
	for _, q := range queues {
		if !q.Holds() {
			continue
		}
		if n++; first == "" {
			first = q.Name()
		}
	}
	if n > 0 {
		return fmt.Errorf("%w: %s has messages in %s and %d other queues; `nsqd-lite data import %s NEW-DATA-PATH` takes them over",
			ErrForeign, dir, first, n-1, dir)
	}
	return nil
}

// Empty returns an error unless dir is missing or an empty directory.
func Empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty: it holds %s", dir, entries[0].Name())
	}
	return nil
}

// globEscape returns a pattern that matches path alone.
func globEscape(path string) string {
	if os.PathSeparator == '\\' {
		return path // there the backslash does not escape, and the others are rare
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
