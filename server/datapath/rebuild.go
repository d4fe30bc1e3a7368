package datapath

import (
	"slices"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/server/journal"
)

// Rebuild makes the channels that a damaged journal does not know any more and
// the list of topics does, and returns them. The list can be a little older
// than the journal: a channel that the journal has known and does not have was
// deleted, unless the journal is doubtful, see [journal.Recovery]. What a channel
// that is made again had read and finished is not known, so it is given all that
// is on disk once more. listed may be nil.
func Rebuild(j *journal.Journal, doubtful bool, listed *Topic) (made []*journal.Cursor) {
	if listed == nil {
		return nil
	}
	last := j.LastCursor()
	known := map[string]bool{}
	for _, cur := range j.Cursors() {
		known[cur.Name()] = true
	}
	for _, ch := range listed.Channels {
		if known[ch.Name] || ch.Number <= last && !doubtful || !wire.ValidName(ch.Name) || wire.Ephemeral(ch.Name) {
			continue
		}
		cur := j.CreateCursor(ch.Name, journal.CursorOptions{})
		cur.Rewind(j.Start(), func(uint64, uint32) {}) // nothing of it is in flight
		cur.SetPaused(ch.Paused)
		made = append(made, cur)
	}
	if listed.Paused && doubtful && len(known) == 0 {
		j.Hold(true)
	}
	return made
}

// Missing returns the topics of a list that are not on the disk, in the order of
// their names. After damage to the roster these are the ones that it has lost,
// but for what the list has missed: it can be a little older.
func (r *Roster) Missing(listed map[string]*Topic) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for name := range listed {
		d := r.dirs[DirName(name)]
		if (d == nil || d.made == 0 && !d.listed) && wire.ValidName(name) && !wire.Ephemeral(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
