package datapath

import (
	"fmt"
	"log/slog"
	"sort"
	"strings"

	"github.com/nsqloop/nsqloop/server/journal"
)

// read reads the file, and the generations before it as far as it is not whole.
func (r *Roster) read() error {
	names, err := r.fs.List()
	if err != nil {
		return err
	}
	var generations []uint64
	for _, name := range names {
		if g, ok := parseRosterName(name); ok {
			generations = append(generations, g)
		} else if strings.HasSuffix(name, unfinishedSuffix) {
			r.outdated = append(r.outdated, name)
		}
	}
	sort.Slice(generations, func(a, b int) bool { return generations[a] < generations[b] })
	var contents [][]byte
	first := len(generations)
	for first > 0 {
		first--
		b, err := r.content(rosterName(generations[first]))
		if err != nil {
			return err
		}
		contents = append(contents, b)
		if readRoster(b, func(*entry) {}).whole {
			break
		}
	}
	for i := len(contents) - 1; i >= 0; i-- {
		found := readRoster(contents[i], r.apply)
		if found.damaged > 0 || i == len(contents)-1 && !found.whole {
			r.lost(rosterName(generations[len(generations)-1-i]), found)
		}
		r.size, r.snapshot = int64(found.end), int64(found.end)
		r.stale = r.stale || found.end != len(contents[i])
	}
	if n := len(generations); n > 0 {
		r.generation = generations[n-1]
		r.stale = r.stale || n > 1 || len(r.outdated) > 0 || r.damaged
		for _, g := range generations[:n-1] {
			r.outdated = append(r.outdated, rosterName(g))
		}
	}
	return nil
}

// lost notes that a file has lost something.
func (r *Roster) lost(name string, found scanned) {
	r.damaged = true
	r.report(slog.LevelError, "the roster of topics without messages is damaged: what it has lost is made again from the list of topics",
		"file", name, "pieces", found.damaged)
}

// content reads a whole file. One that cannot be read is another matter than
// damage: to go on would be to forget topics that another try may find.
func (r *Roster) content(name string) ([]byte, error) {
	b, err := journal.ReadFile(r.fs, name)
	if err != nil {
		return nil, err
	}
	if version, _ := getRosterHeader(b); version > rosterVersion {
		return nil, fmt.Errorf("%w: %s has version %d of the format, and this program knows version %d", ErrNewer, name, version, rosterVersion)
	}
	return b, nil
}

// apply does what a record says.
func (r *Roster) apply(e *entry) {
	d := r.dir(e.name)
	d.files, d.listed, d.changed = e.files, e.kind == kindHas, 1
	if !d.listed && d.made == 0 {
		delete(r.dirs, e.name)
	}
}
