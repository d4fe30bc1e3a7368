package datapath

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestDirName_Differs(t *testing.T) {
	names := []string{"a", "A", "aA", "Aa", "AA", "aa", ".", "..", "a.", "a..", ".a", "con", "CON", "nul.x", "a-b", "A-", "a_", "x.y", "9", strings.Repeat("Z", 64)}
	seen := map[string]string{}
	for _, name := range names {
		dir := DirName(name)
		if other, ok := seen[strings.ToLower(dir)]; ok {
			t.Errorf("%q and %q share the directory %q", name, other, dir)
		}
		seen[strings.ToLower(dir)] = name
		if dir != strings.ToLower(dir) || strings.HasSuffix(dir, ".") || len(dir) > 255 || filepath.Base(dir) != dir {
			t.Errorf("the directory of %q is %q", name, dir)
		}
		if back, ok := TopicName(dir); !ok || back != name {
			t.Errorf("directory %q is read as %q, %v; want %q", dir, back, ok, name)
		}
	}
	for _, dir := range []string{"topic+", "topic++", "topic+a+", "topic+A", "topic+a+1", "topic++-b", "topic+a.", "other", "topic+a b", "topic+x#ephemeral"} {
		if name, ok := TopicName(dir); ok {
			t.Errorf("directory %q is taken for the topic %q", dir, name)
		}
	}
}
