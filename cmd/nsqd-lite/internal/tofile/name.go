package tofile

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// naming makes the names of a topic's files.
type naming struct {
	format   string // all is filled in but <DATETIME> and <REV>
	datetime string
}

// errNoRevision is about a format that cannot tell two files of one hour apart.
var errNoRevision = errors.New("the file name format needs <REV>, because files that are compressed, rotated or moved never overwrite one another")

// newNaming fills into o's format what stays the same for topic.
func newNaming(o *Options, topic string) (naming, error) {
	revision := ""
	if o.exclusive() || o.RotateSize > 0 || o.WorkDir != o.Dir {
		if !strings.Contains(o.Format, "<REV>") {
			return naming{}, errNoRevision
		}
		revision = "<REV>"
	}
	name := strings.NewReplacer(
		"<TOPIC>", topic, "<HOST>", o.hostIdentifier(), "<PID>", strconv.Itoa(o.PID), "<REV>", revision,
	).Replace(o.Format)
	if o.Gzip && !strings.HasSuffix(name, ".gz") {
		name += ".gz"
	}
	if !filepath.IsLocal(name) {
		return naming{}, fmt.Errorf("file name %q leads out of the output directory", name)
	}
	return naming{format: name, datetime: o.DateTime}, nil
}

// hostIdentifier is what <HOST> stands for.
func (o *Options) hostIdentifier() string {
	short, _, _ := strings.Cut(o.Host, ".")
	if o.HostIdentifier == "" {
		return short
	}
	return strings.NewReplacer("<SHORT_HOST>", short, "<HOSTNAME>", o.Host).Replace(o.HostIdentifier)
}

// at is the name at a moment, in which <REV> may be left.
func (n naming) at(t time.Time) string {
	return strings.ReplaceAll(n.format, "<DATETIME>", strftime(n.datetime, t))
}

// revised is a name of at with its revision.
func revised(name string, revision int) string {
	return strings.ReplaceAll(name, "<REV>", fmt.Sprintf("-%06d", revision))
}

// escapes are those of strftime that are known, as Go writes them.
var escapes = map[byte]string{
	'B': "January", 'b': "Jan", 'm': "01", 'A': "Monday", 'a': "Mon", 'd': "02", 'H': "15", 'I': "03",
	'M': "04", 'S': "05", 'Y': "2006", 'y': "06", 'p': "PM", 'Z': "MST", 'z': "-0700",
}

// strftime writes t as format says. Escapes that it does not know stay as they
// are.
func strftime(format string, t time.Time) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		switch layout, known := escapes[format[i]]; {
		case known:
			b.WriteString(t.Format(layout))
		case format[i] == '%':
			b.WriteByte('%')
		default:
			b.WriteByte('%')
			b.WriteByte(format[i])
		}
	}
	return b.String()
}
