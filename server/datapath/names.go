package datapath

import (
	"strings"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// Names of directories must differ on file systems that do not tell upper case
// from lower, must not be a device's name on Windows ("con", "aux.x"), and must
// not end in a dot there. '+' is in no topic's name, so it can escape.
const (
	dirPrefix = "topic+"
	escape    = '+' // +x: the letter X. +-: a dot at the end
)

// DirName is the name of a topic's directory. Different topics have different
// ones, whatever the file system thinks of case.
func DirName(topic string) string {
	b := []byte(dirPrefix)
	for i := range len(topic) {
		switch ch := topic[i]; {
		case 'A' <= ch && ch <= 'Z':
			b = append(b, escape, ch-'A'+'a')
		case ch == '.' && i == len(topic)-1:
			b = append(b, escape, '-')
		default:
			b = append(b, ch)
		}
	}
	return string(b)
}

// TopicName is the topic whose directory has the name dir; ok is false when
// there is no such topic.
func TopicName(dir string) (topic string, ok bool) {
	rest, ok := strings.CutPrefix(dir, dirPrefix)
	if !ok {
		return "", false
	}
	var b []byte
	for i := 0; i < len(rest); i++ {
		ch := rest[i]
		if ch == escape {
			i++
			switch {
			case i < len(rest) && 'a' <= rest[i] && rest[i] <= 'z':
				ch = rest[i] - 'a' + 'A'
			case i < len(rest) && rest[i] == '-':
				ch = '.'
			default:
				return "", false
			}
		}
		b = append(b, ch)
	}
	topic = string(b)
	return topic, wire.ValidName(topic) && !wire.Ephemeral(topic) && DirName(topic) == dir
}

// Topics returns the topics that directories are for, in the order of dirs, and
// the directories that look like a topic's but name none.
func Topics(dirs []string) (names, strange []string) {
	for _, dir := range dirs {
		if !strings.HasPrefix(dir, dirPrefix) {
			continue
		}
		if name, ok := TopicName(dir); ok {
			names = append(names, name)
		} else {
			strange = append(strange, dir)
		}
	}
	return names, strange
}
