package writer

// Blocked is how many publishes wait for room, and how many bytes are pending.
func Blocked(w *Writer) (n int, bytes int64) {
	_, bytes = w.mail.pending()
	w.mail.mu.Lock()
	defer w.mail.mu.Unlock()
	return len(w.mail.blocked), bytes
}

// Flushing is how many calls of Flush wait. It belongs to the loop.
func Flushing(w *Writer) int { return len(w.flushes) }
