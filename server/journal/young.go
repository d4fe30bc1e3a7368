package journal

// A journal that has had no message has one file, the cursor file, and that is
// short. So a directory may keep it among those of other journals, see
// datapath.Roster, where all of it is written with each change. It is kept short
// therefore, and begun anew in the journal's own directory with the first
// segment.

// rewriteYoung is rewriteAt before the first message.
const rewriteYoung = 2 << 10

// most is the size up to which the cursor file may grow, or to twice its
// snapshot.
func (l *eventLog) most(j *Journal) int64 {
	if len(j.segments) == 0 {
		return min(l.rewriteAt, rewriteYoung)
	}
	return l.rewriteAt
}

// enroller is a directory that keeps files among those of others.
type enroller interface {
	// Enrolled reports whether the file of that name does.
	Enrolled(name string) bool
}

// leave has the cursor file begun anew in the journal's own directory, if it is
// not there: from the first message on it grows.
func (l *eventLog) leave(j *Journal) {
	if e, ok := j.fs.(enroller); ok && l.generation > 0 && e.Enrolled(cursorName(l.generation)) {
		l.stale = true
	}
}
