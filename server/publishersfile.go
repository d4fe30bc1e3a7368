package server

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"strconv"
	"strings"

	"github.com/nsqloop/nsqloop/server/journal"
)

// What is remembered of publishers outlives a server that is stopped in order,
// in a file of the data path, of lines:
//
//	nsqloop publishers 1 <checksum of what follows>
//	<id> <token> <left> <floor>
//	- <topic> <last> <doubt> <end>
//
// with one line for each publisher and then one for each of its marks. end is the
// sequence of the topic's next message: a journal that has another one when it is
// found again has lost messages, or was changed.
//
// A start takes the file away, for good, before it accepts anybody. So the file
// never speaks of a state that is over: a server that is killed leaves none, and
// forgets everybody, with other tokens. Nothing is forced to the disk when it
// is written, and nothing done at once: a file of which a part is there is as good
// as none.
const (
	publishersDir  = "publishers"
	publishersFile = "remembered"

	// publishersFileMost bounds the file, which is made and read in one piece.
	publishersFileMost = 64 << 20
)

var errPublishersFile = errors.New("their file is damaged, too large, or of another version")

// saved is the content of the file; "" when there is nobody to be remembered. The
// clients have gone.
func (ps *publishers) saved() string {
	var b []byte
	if ps.s.path != nil {
		for _, p := range ps.all {
			b = p.appendTo(b)
		}
	}
	if len(b) == 0 {
		return ""
	}
	return sealed(string(b))
}

// sealed is what makes lines the content of the file.
func sealed(lines string) string {
	return fmt.Sprintf("nsqloop publishers 1 %08x\n%s", crc32.ChecksumIEEE([]byte(lines)), lines)
}

// appendTo appends the publisher's lines.
func (p *publisher) appendTo(b []byte) []byte {
	b = fmt.Appendf(b, "%s %s %d %d\n", p.id, p.token, p.left, p.floor)
	for _, m := range p.all {
		doubt := m.doubt
		if m.last.generation >= m.t.durable {
			doubt = m.last.number // a fsync of it is running, and nobody will hear what it comes to
		}
		b = fmt.Appendf(b, "- %s %d %d %d\n", m.t.name, m.last.number, doubt, m.t.j.NextSeq())
	}
	return b
}

// save writes the file.
func (ps *publishers) save(content string) {
	if content == "" {
		return
	}
	err := errPublishersFile
	if len(content) <= publishersFileMost {
		var f journal.File
		if f, err = ps.s.path.disk.Dir(publishersDir).Open(publishersFile, true); err == nil {
			_, err = f.WriteAt([]byte(content), 0)
			f.Close() // the checksum tells whether all is there
		}
	}
	ps.forgotten(err)
}

// forgotten says that publishers are not remembered over a restart, because of err.
func (ps *publishers) forgotten(err error) {
	if err != nil {
		ps.s.log.Warn("publishers are forgotten", "err", err)
	}
}

// load remembers whom the file names, and takes it away. Whatever cannot be
// used is forgotten: the publishers learn it by their tokens.
func (ps *publishers) load() {
	dir := ps.s.path.disk.Dir(publishersDir)
	b, err := journal.ReadFile(dir, publishersFile)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	removed := dir.Remove(publishersFile)
	if removed == nil && ps.s.o.Sync != SyncNever {
		removed = dir.SyncDir()
	}
	content := string(b)
	_, lines, _ := strings.Cut(content, "\n")
	switch {
	case err != nil:
	case removed != nil:
		err = removed
	case sealed(lines) != content:
		err = errPublishersFile
	}
	if err == nil {
		ps.loaded = content
		ps.restore(lines)
	}
	ps.forgotten(err)
}

// begin is the server's first turn: it was not in vain that the file was taken
// away.
func (ps *publishers) begin() {
	ps.loaded = ""
	if len(ps.all) > 0 {
		ps.watch()
	}
}

// restore remembers the publishers for whom there is room. They count for an
// address when they come back. The checksum has vouched for the lines.
func (ps *publishers) restore(lines string) {
	var p *publisher // of the line before; nil: there was no room
	for lines != "" {
		var line string
		line, lines, _ = strings.Cut(lines, "\n")
		switch f := strings.Fields(line); {
		case len(f) == 5 && p != nil:
			p.restore(ps.s, f)
		case len(f) == 4:
			if p = nil; ps.s.budget.has(publisherCost) {
				p = ps.add(f[0], f[1])
				p.left, p.floor, p.trusted = int64(parsed(f[2])), parsed(f[3]), true
			}
		}
	}
}

// restore makes a mark of the fields of a line. What it stands for is not confirmed
// before this process has forced it to the disk, where that is asked for. The
// mark of a topic that is not there any more, because it was in memory alone say,
// is as that of one which was deleted.
func (p *publisher) restore(s *Server, f []string) {
	t, last, doubt := s.byName[f[1]], parsed(f[2]), parsed(f[3])
	if t == nil {
		p.floor = max(p.floor, last)
		return
	}
	if t.j.NextSeq() != parsed(f[4]) {
		doubt = last
	}
	m := p.newMark(t)
	m.last = point{number: last}
	m.before, m.doubt = m.last, doubt
	if t.generation == 0 { // else another publisher has seen to it
		t.generation++
		t.s.fsync.cover(t, true)
	}
}

// parsed is a number of the file.
func parsed(s string) uint64 {
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}
