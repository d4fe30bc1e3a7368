package journal

// SetLogLimits makes the cursor file grow at most to rewriteAt bytes before it
// is rewritten, and lets at most kept bytes of events wait.
func SetLogLimits(j *Journal, rewriteAt, kept int64) {
	j.events.rewriteAt, j.events.kept = rewriteAt, kept
}

// SetSlice makes a step of a cursor file that is written in slices about so long,
// and lets none shorter than that be written in one piece.
func SetSlice(j *Journal, bytes int) { j.events.slice = bytes }

// Rewrite begins a new cursor file.
func (j *Journal) Rewrite() error { return j.events.rewrite(j) }
