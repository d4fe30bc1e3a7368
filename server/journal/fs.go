package journal

import "io"

// Disk is a directory of directories, each with the journal of one topic: what
// a server asks of its data path. Its methods may be called from any goroutine.
type Disk interface {
	// List returns the names of the directories in increasing order.
	List() ([]string, error)

	// Make makes a directory. One that is there already is no error.
	Make(name string) error

	// Dir returns the directory of that name, which need not be there yet.
	Dir(name string) FS

	// Sync makes the list of directories durable: those made and removed so
	// far stay so after a power cut.
	Sync() error
}

// FS is one directory of files, all that a journal asks of a disk. [OSDir] and
// [Memory] make one; tests have others, which fail on demand.
//
// Names are base names, without a separator. Errors name the operation and the
// file. A journal calls its methods, and those of its files, on one goroutine,
// but for what its Sync does, on another one meanwhile: File.Sync and SyncDir,
// Remove of an old cursor file, File.Close of one that is used no more, and
// ReadAt and WriteAt of the cursor file, where nobody else writes.
type FS interface {
	// Open opens a file for reading and writing. When it is absent it is
	// made, with the directory, if create is set; else the error wraps
	// [io/fs.ErrNotExist]. The content of a file that is there stays.
	Open(name string, create bool) (File, error)

	// Rename gives a file another name and replaces what has that name.
	// Whoever has either file open keeps it.
	Rename(from, to string) error

	// Remove removes a file. The error wraps [io/fs.ErrNotExist] when it is
	// absent. Whoever has it open keeps it. Not every system removes a file
	// that is open: on an error it should be closed and removed again.
	Remove(name string) error

	// List returns the names of all files in increasing order. An absent
	// directory is an empty one.
	List() ([]string, error)

	// SyncDir makes the names durable: files made, renamed and removed so
	// far stay so after a power cut.
	SyncDir() error

	// RemoveAll removes the directory and all in it. An absent directory is
	// no error.
	RemoveAll() error
}

// File is an open file. ReadAt and WriteAt take positions and there is no
// current one. A write beyond the end fills the gap with zeroes.
type File interface {
	io.ReaderAt
	io.WriterAt

	// Size returns the length in bytes.
	Size() (int64, error)

	// Truncate makes the file size bytes long.
	Truncate(size int64) error

	// Sync makes the content and the length durable. It is safe while the
	// other methods run.
	Sync() error

	// Close closes the file and makes nothing durable.
	Close() error
}
