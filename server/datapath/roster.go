package datapath

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/nsqloop/nsqloop/server/journal"
)

// RosterDir is the directory of the roster in a data path. Its name is no
// topic's, and is like one, so that a program which does not know of rosters
// says that there is something it does not know.
const RosterDir = dirPrefix + "roster" + string(escape)

// ErrNewer is wrapped by the error of OpenRoster for a roster that a later
// version has written. To go on without it would be to forget topics.
var ErrNewer = errors.New("data path of a newer version")

const (
	// rosterKept is the size up to which the file grows without being begun
	// anew; beyond it may have twice what it was begun with.
	rosterKept = 1 << 20

	// smallMost is the length of a file beyond which it is not begun in the
	// roster.
	smallMost = 4 << 10

	unfinishedSuffix = ".tmp"
	asideSuffix      = ".aside"
)

// Roster is a disk whose directories begin in one file: what a journal keeps
// of its cursors before the first message stands there, and neither a directory
// nor a file of its own is made, synced, or looked for at the next start. The
// first file that is more than that makes the directory below, and from then on
// new files are made there. A directory may have files in both for a while; what
// is below counts where they have the same name.
//
// It is a [journal.Disk], with all that this and [journal.FS] promise.
type Roster struct {
	disk journal.Disk
	fs   journal.FS // RosterDir
	o    RosterOptions

	// syncing is held while the file is forced to the disk, mu never.
	syncing sync.Mutex

	mu         sync.Mutex
	dirs       map[string]*dir
	file       journal.File
	generation uint64
	size       int64
	snapshot   int64  // size with which it was begun
	ours       bool   // it was begun by this process
	stale      bool   // the file is not to be trusted, or not to be gone on with: another one is begun
	made       uint64 // the number of RosterDir, 0 when there is none
	damaged    bool
	buf        []byte

	changes  uint64 // records written so far
	durable  uint64 // how many of them a power cut leaves
	newNames bool   // files were made in RosterDir since it was synced

	dirsMade    uint64 // directories made below so far, each of which has its number
	dirsDurable uint64 // how many of them a power cut leaves

	outdated []string
	retired  []journal.File // to be closed when nobody syncs them
}

// RosterOptions are what a roster needs to know.
type RosterOptions struct {
	// NeverSync says that nobody will sync anything.
	NeverSync bool

	// Log receives what an operator has to know; nil is silence.
	Log func(level slog.Level, msg string, args ...any)
}

// OpenRoster reads the roster of a disk. It changes nothing before something on
// the disk is changed.
func OpenRoster(disk journal.Disk, o RosterOptions) (*Roster, error) {
	// What is there may not be durable: an earlier process may have died early.
	r := &Roster{disk: disk, o: o, dirs: map[string]*dir{}, changes: 1, dirsMade: 1, newNames: true}
	names, err := disk.List()
	if err != nil {
		return nil, fmt.Errorf("read data path: %w", err)
	}
	for _, name := range names {
		if name == RosterDir {
			r.made = 1
			continue
		}
		r.dirs[name] = &dir{r: r, name: name, made: 1}
	}
	r.fs = disk.Dir(RosterDir)
	if r.made > 0 {
		if err := r.read(); err != nil {
			return nil, fmt.Errorf("read the roster of the data path: %w", err)
		}
	}
	return r, nil
}

// Damaged reports whether the roster had lost something when it was opened.
func (r *Roster) Damaged() bool { return r.damaged }

// Mend writes a roster that was damaged anew, and keeps the damaged file under
// another name. It does nothing to one that is whole.
func (r *Roster) Mend() error {
	r.mu.Lock()
	damaged := r.damaged && r.stale
	var err error
	if damaged {
		err = r.begin()
	}
	r.mu.Unlock()
	if err != nil || !damaged {
		return err
	}
	return r.Sync()
}

// List returns the names of all directories in increasing order.
func (r *Roster) List() ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := make([]string, 0, len(r.dirs))
	for name, d := range r.dirs {
		if d.made > 0 || d.listed {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Make makes a directory, which is a line in the roster; when there is no room
// for one, it is made below.
func (r *Roster) Make(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.dir(name)
	if d.made > 0 || d.listed {
		return nil
	}
	d.listed = true
	if err := r.put(d); err != nil {
		d.listed = false
		return d.make()
	}
	return nil
}

// Dir returns the directory of that name.
func (r *Roster) Dir(name string) journal.FS {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dir(name)
}

func (r *Roster) dir(name string) *dir {
	d := r.dirs[name]
	if d == nil {
		d = &dir{r: r, name: name}
		r.dirs[name] = d
	}
	return d
}

// Small is a file that stands in the roster.
type Small struct {
	Name string
	Data []byte
}

// Small returns the files of a directory that stand in the roster and not below.
func (r *Roster) Small(name string) ([]Small, error) {
	d := r.Dir(name).(*dir)
	if _, err := d.List(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Small
	for _, s := range d.files {
		all = append(all, Small{s.name, slices.Clone(s.data)})
	}
	return all, nil
}

// put writes what the roster has of a directory now. The first time it begins a new
// file: an earlier process may have failed to sync the one there is, which can be
// read then until the power goes, and no later sync would help.
func (r *Roster) put(d *dir) error {
	if r.file != nil && !r.stale && r.size > max(rosterKept, 2*r.snapshot) && r.begin() == nil {
		d.changed = r.changes
		return nil
	} // else it goes on growing
	if r.file == nil || r.stale || !r.ours {
		if err := r.begin(); err != nil {
			return err
		}
		d.changed = r.changes
		return nil
	}
	r.buf = appendEntry(r.buf[:0], d.entry())
	if _, err := r.file.WriteAt(r.buf, r.size); err != nil {
		return fmt.Errorf("write roster: %w", err)
	}
	r.size += int64(len(r.buf))
	r.changes++
	d.changed = r.changes
	if p, ok := r.fs.(placer); ok && !p.Placed(r.file, "") {
		r.report(slog.LevelError, "a file was taken away by somebody else while it was in use: it is written again", "file", rosterName(r.generation))
		return r.begin()
	}
	return nil
}

// placer is a directory that can tell whether its files still have their names.
type placer interface {
	Placed(f journal.File, name string) bool
}

// reopen opens the file that was read. If that fails another one is begun.
func (r *Roster) reopen() {
	f, err := r.fs.Open(rosterName(r.generation), false)
	if err != nil {
		r.stale = true
		return
	}
	r.file = f
}

// begin begins a new generation of the file with all there is. The old one goes
// once the new one is sure to survive the loss of power.
func (r *Roster) begin() error {
	if r.made == 0 {
		if err := r.disk.Make(RosterDir); err != nil {
			return fmt.Errorf("make roster: %w", err)
		}
		r.dirsMade++
		r.made = r.dirsMade
	}
	b := make([]byte, rosterHeader, max(r.size, 4<<10))
	for _, name := range r.listed() {
		b = appendEntry(b, r.dirs[name].entry())
	}
	putRosterHeader(b)
	name := rosterName(r.generation + 1)
	f, err := r.fs.Open(name+unfinishedSuffix, true)
	if err == nil {
		// One that an earlier process has left may be longer: what stands behind
		// the new records would be read as the newest.
		if err = f.Truncate(0); err == nil {
			_, err = f.WriteAt(b, 0)
		}
		if err == nil {
			err = r.fs.Rename(name+unfinishedSuffix, name)
		}
		if err != nil {
			_ = f.Close()
			_ = r.fs.Remove(name + unfinishedSuffix) // if this fails too, the next one removes it
		}
	}
	if err != nil {
		return fmt.Errorf("begin roster: %w", err)
	}
	if r.file != nil {
		r.retired = append(r.retired, r.file)
	}
	if r.generation > 0 {
		r.outdated = append(r.outdated, rosterName(r.generation))
	}
	r.file, r.generation, r.stale, r.newNames, r.ours = f, r.generation+1, false, true, true
	r.size, r.snapshot = int64(len(b)), int64(len(b))
	r.changes++
	if r.o.NeverSync {
		r.discard(r.outdated, r.retired)
		r.outdated, r.retired = nil, nil
	}
	return nil
}

// listed returns the names of the directories that the roster has something of,
// in increasing order. Those of which it only knows that they are there, and
// that are there, it forgets.
func (r *Roster) listed() []string {
	var names []string
	for name, d := range r.dirs {
		d.listed = d.listed && (len(d.files) > 0 || !d.stays())
		if d.listed {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// discard closes files and removes others. A file that had damage is kept under
// another name.
func (r *Roster) discard(names []string, files []journal.File) {
	for _, f := range files {
		_ = f.Close() // everything in it is in the file after it
	}
	for _, name := range names {
		var err error
		if r.damaged && !strings.HasSuffix(name, unfinishedSuffix) {
			err = r.fs.Rename(name, name+asideSuffix)
		} else {
			err = r.fs.Remove(name)
		}
		if err != nil {
			r.report(slog.LevelWarn, "remove an old roster", "file", name, "err", err)
		}
	}
}

// Close forces what was written to the disk, if it is to be, and closes the
// file.
func (r *Roster) Close() error {
	r.mu.Lock()
	wrote := r.file != nil && !r.o.NeverSync && r.durable < r.changes
	r.mu.Unlock()
	var err error
	if wrote {
		err = r.Sync()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil {
		err = errors.Join(err, r.file.Close())
		r.file = nil
	}
	for _, f := range r.retired {
		_ = f.Close()
	}
	r.retired = nil
	return err
}

func (r *Roster) report(level slog.Level, msg string, args ...any) {
	if r.o.Log != nil {
		r.o.Log(level, msg, args...)
	}
}
