package datapath

import (
	"fmt"

	"github.com/nsqloop/nsqloop/server/journal"
)

// Sync makes durable which directories there are.
func (r *Roster) Sync() error {
	r.mu.Lock()
	changes, made := r.changes, r.dirsMade
	r.mu.Unlock()
	return r.syncTo(changes, made)
}

// syncTo makes durable what was written up to a change, and which directories
// there are up to a number. Others that wait for it at the same time find it done.
func (r *Roster) syncTo(change, made uint64) error {
	r.syncing.Lock()
	defer r.syncing.Unlock()
	p, err := r.beginSync(change, made)
	if err != nil {
		return err
	}
	if p.dirs {
		err = r.disk.Sync()
	}
	if err == nil && p.file != nil {
		if err = p.file.Sync(); err == nil && p.names {
			err = r.fs.SyncDir()
		}
		p.failed = err != nil
	}
	r.endSync(p, err)
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// pass is one time that the roster is forced to the disk.
type pass struct {
	file     journal.File // nil: it is durable
	names    bool
	dirs     bool
	changes  uint64
	dirsMade uint64
	outdated []string
	retired  []journal.File
	failed   bool // the file or its name may have been lost
}

// beginSync says what there is to do.
func (r *Roster) beginSync(change, made uint64) (*pass, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := &pass{changes: r.changes, dirsMade: r.dirsMade, dirs: r.dirsDurable < made}
	if r.durable >= change || r.generation == 0 {
		return p, nil
	}
	if r.file == nil && !r.stale {
		r.reopen()
	}
	if r.stale {
		// A disk that failed a sync may have dropped what it was to write, and
		// no later one brings it back.
		if err := r.begin(); err != nil {
			return nil, err
		}
	}
	p.file, p.names, p.changes, p.dirsMade = r.file, r.newNames, r.changes, r.dirsMade
	p.dirs = p.dirs || r.dirsDurable < r.made
	p.outdated, p.retired = r.outdated, r.retired
	r.newNames, r.outdated, r.retired = false, nil, nil
	return p, nil
}

// endSync notes what is durable, or that it is not.
func (r *Roster) endSync(p *pass, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.newNames, r.stale = r.newNames || p.names, r.stale || p.failed
		r.outdated, r.retired = append(p.outdated, r.outdated...), append(p.retired, r.retired...)
		return
	}
	if p.dirs {
		r.dirsDurable = p.dirsMade
	}
	if p.file != nil {
		r.durable = p.changes
		r.discard(p.outdated, p.retired)
	}
}
