// Package checklist holds lists of statements, each shown by tests, against the
// tests that there are.
package checklist

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// List is what a room has to show. A test is named as room.Test, where the room
// is the last element of its directory; names are separated by spaces.
type List struct {
	Spans       [][2]int          // the numbers of the statements: first and last ones
	Shown       map[int]string    // by number: the tests that show it
	Differently map[int]string    // by number: why it is not true here
	Rulings     map[string]string // what else is shown, and by which tests
}

// Check fails t for each statement that is not in one list alone, for whatever
// has no test, and for each test that is not there. root is the directory of
// the module, seen from that of the test.
func (l List) Check(t testing.TB, root string) {
	t.Helper()
	there := tests(t, root)
	check := func(what any, names string) {
		t.Helper()
		if names == "" {
			t.Errorf("%v: no test", what)
		}
		for _, name := range strings.Fields(names) {
			if !there[name] {
				t.Errorf("%v: there is no test %s", what, name)
			}
		}
	}
	numbers := 0
	for _, span := range l.Spans {
		for n := span[0]; n <= span[1]; n++ {
			numbers++
			if (l.Shown[n] == "") == (l.Differently[n] == "") {
				t.Errorf("statement %d: shown by %q, differently %q; want one of them", n, l.Shown[n], l.Differently[n])
			}
		}
	}
	if got := len(l.Shown) + len(l.Differently); got != numbers {
		t.Errorf("%d statements, want %d", got, numbers)
	}
	for n, names := range l.Shown {
		check(n, names)
	}
	for what, names := range l.Rulings {
		check(what, names)
	}
}

// tests are those below root.
func tests(t testing.TB, root string) map[string]bool {
	t.Helper()
	there := map[string]bool{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range f.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				there[path.Base(filepath.ToSlash(filepath.Dir(name)))+"."+fn.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return there
}
