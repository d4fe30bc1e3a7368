package journaltest

import "errors"

var (
	// ErrInjected is what an operation fails with that was told to, unless
	// it was told with what.
	ErrInjected = errors.New("injected fault")

	// ErrCrashed is what every operation fails with once the process is dead.
	ErrCrashed = errors.New("crashed")
)

// faults are the failures to come.
type faults struct {
	ops      int // counted operations of this process
	crashAt  int // the operation from which on all fail; 0 is never
	crashed  bool
	every    int
	hook     func(op, name string) error
	once     []fault
	capacity int64
}

// fault is a failure of the next operation of its name.
type fault struct {
	op  string
	err error
}

// Torn wraps err, so that a write which fails with it stores the beginning of
// its bytes, and RemoveAll removes some of the files. Other operations fail
// with it as with err.
func Torn(err error) error { return tornError{err} }

type tornError struct{ error }

func (t tornError) Unwrap() error { return t.error }

func isTorn(err error) bool {
	var t tornError
	return errors.As(err, &t)
}

// FailNext makes the next operation op fail with err, [ErrInjected] when err is
// nil. An empty op is any counted operation. Several calls for one op are for
// several operations in turn.
func (d *Disk) FailNext(op string, err error) {
	if err == nil {
		err = ErrInjected
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.once = append(d.once, fault{op, err})
}

// FailEvery makes every nth counted operation fail with [ErrInjected]; 0 ends
// that.
func (d *Disk) FailEvery(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.every = n
}

// Fail has hook called before every operation, counted or not, with the path
// it is about; what hook returns, unless nil, the operation fails with. The
// hook must not call the disk. A nil hook ends that.
func (d *Disk) Fail(hook func(op, name string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hook = hook
}

// SetCapacity limits the length of all files together, in bytes; 0 is no limit.
// A write beyond it stores what fits and fails with an error that wraps
// [syscall.ENOSPC].
func (d *Disk) SetCapacity(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.capacity = bytes
}

// Ops returns the number of counted operations that this process, since New or
// the last crash, has begun.
func (d *Disk) Ops() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops
}

// CrashAt makes the counted operation number n, the first is 1, and every
// operation after it fail with [ErrCrashed]; 0 takes it back. A write at that
// moment may have stored a part. Kill or PowerCut says what is left.
func (d *Disk) CrashAt(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashAt = n
}

// next counts an operation and returns what it is to fail with, or nil.
func (d *Disk) next(op, path string) error {
	if d.crashed {
		return ErrCrashed
	}
	counted := isCounted(op)
	if counted {
		d.ops++
		if d.crashAt > 0 && d.ops >= d.crashAt {
			d.crashed = true
			return Torn(ErrCrashed)
		}
	}
	if d.hook != nil {
		if err := d.hook(op, path); err != nil {
			return err
		}
	}
	for i, f := range d.once {
		if f.op == op || f.op == "" && counted {
			d.once = append(d.once[:i], d.once[i+1:]...)
			return f.err
		}
	}
	if counted && d.every > 0 && d.ops%d.every == 0 {
		return ErrInjected
	}
	return nil
}

// missing returns how many bytes the disk lacks for a write of n bytes.
func (d *Disk) missing(f *file, off int64, n int) int {
	growth := off + int64(n) - int64(len(f.data))
	if d.capacity == 0 || growth <= 0 {
		return 0
	}
	return int(max(0, min(growth, d.used()+growth-d.capacity)))
}

func isCounted(op string) bool {
	switch op {
	case "open", "size", "read", "list", "close":
		return false
	}
	return true
}
