package admin

import (
	"bytes"
	"compress/gzip"
	"flag"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "compress the files of static/ into packed/")

// TestPage_IsPacked: packed/ holds what static/ does, and nothing else. Another
// Go may compress otherwise, so what counts is what comes out again.
func TestPage_IsPacked(t *testing.T) {
	sources, err := os.ReadDir("static")
	if err != nil {
		t.Fatal(err)
	}
	wanted := map[string]bool{}
	for _, source := range sources {
		text, err := os.ReadFile("static/" + source.Name())
		if err != nil {
			t.Fatal(err)
		}
		text = lean(source.Name(), text)
		name := source.Name() + ".gz"
		wanted[name] = true
		if got, err := os.ReadFile("packed/" + name); err == nil && bytes.Equal(unpack(got), text) {
			continue
		}
		if !*update {
			t.Errorf("packed/%s is not what static/%s makes; go generate ./server/admin makes it anew", name, source.Name())
		} else if err := os.WriteFile("packed/"+name, squeeze(text, gzip.BestCompression), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	there, err := os.ReadDir("packed")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range there {
		if wanted[entry.Name()] {
			continue
		}
		if !*update {
			t.Errorf("packed/%s has no source any more; go generate ./server/admin removes it", entry.Name())
		} else if err := os.Remove("packed/" + entry.Name()); err != nil {
			t.Fatal(err)
		}
	}
}

// lean leaves out what only those need who read a file of ours in the
// repository: indentation, lines that are comments, space in a style. The files are written so
// that no line of a string could be taken for one.
func lean(name string, text []byte) []byte {
	if ext := path.Ext(name); ext != ".js" && ext != ".css" || strings.Contains(name, ".min.") {
		return text
	}
	out := make([]byte, 0, len(text))
	for line := range bytes.Lines(text) {
		line = bytes.TrimLeft(line, " ")
		if len(line) > 1 && !bytes.HasPrefix(line, []byte("//")) && !(bytes.HasPrefix(line, []byte("/*")) && bytes.HasSuffix(line, []byte("*/\n"))) {
			out = append(out, line...)
		}
	}
	if path.Ext(name) == ".css" {
		out = bytes.ReplaceAll(between.ReplaceAll(out, []byte("$1")), []byte(": "), []byte(":"))
	}
	return out
}

// between is what stands between two words of a style without need. No string of
// the style has such a thing in it.
var between = regexp.MustCompile(`\s*([{};,])\s*`)
