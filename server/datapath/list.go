package datapath

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ListFile lists topics and channels in the data path, as nsqd does, for tools
// that read it there.
const ListFile = "nsqd.dat"

// oldListFiles matches the lists of nsqd before 1.0, which have its worker id
// in their names.
const oldListFiles = "nsqd.[0-9]*.dat"

// List is the content of the file.
type List struct {
	Topics  []Topic `json:"topics"` // null when there are none
	Version string  `json:"version"`

	// LiteVersion is nil when nsqd wrote the list, which does not look at it.
	LiteVersion *string `json:"lite_version,omitempty"`
}

// Topic is a topic of a [List].
type Topic struct {
	Name     string    `json:"name"`
	Paused   bool      `json:"paused"`
	Channels []Channel `json:"channels"` // null when there are none
}

// Channel is a channel of a [Topic].
type Channel struct {
	Name   string `json:"name"`
	Paused bool   `json:"paused"`
	Number uint32 `json:"lite_number,omitempty"` // its cursor's; nsqd does not look at it
}

// ReadList reads the list of topics of a data path, nsqd's old forms included,
// and returns the file that it was in. The error wraps [io/fs.ErrNotExist] when
// there is none.
func ReadList(dir string) (list *List, path string, err error) {
	path = filepath.Join(dir, ListFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		found, _ := filepath.Glob(filepath.Join(globEscape(dir), oldListFiles)) // the pattern is good
		if len(found) == 0 {
			return nil, path, err
		}
		path = found[len(found)-1]
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, path, err
	}
	list = new(List)
	if err := json.Unmarshal(data, list); err != nil {
		return nil, path, fmt.Errorf("%s is damaged: %w", path, err)
	}
	return list, path, nil
}

// WriteList writes the list so that at any moment there is the old one or the
// new one.
func WriteList(dir string, list *List) error {
	path := filepath.Join(dir, ListFile)
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err = list.writeTo(f); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error says what is wrong
	}
	return err
}

// writeTo writes the list as one object, but not in one piece: it may be of ten
// thousand topics, and what that takes in memory would stay with the process.
func (l *List) writeTo(w io.Writer) error {
	rest := *l
	rest.Topics = []Topic{}
	frame, err := json.Marshal(&rest)
	if err != nil {
		return fmt.Errorf("encode the list of topics: %w", err)
	}
	if l.Topics == nil {
		_, err = w.Write(bytes.Replace(frame, []byte("[]"), []byte("null"), 1))
		return err
	}
	before, after, _ := bytes.Cut(frame, []byte("[]"))
	out := bufio.NewWriterSize(w, 32<<10)
	_, _ = out.Write(append(before, '[')) // Flush has its error
	for i := range l.Topics {
		if i > 0 {
			_ = out.WriteByte(',')
		}
		b, err := json.Marshal(&l.Topics[i])
		if err != nil {
			return fmt.Errorf("encode the list of topics: %w", err)
		}
		_, _ = out.Write(b)
	}
	_ = out.WriteByte(']')
	_, _ = out.Write(after)
	return out.Flush()
}
