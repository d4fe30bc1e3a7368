package tidy

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// modulePath is the path of the module whose files are read.
const modulePath = "github.com/nsqloop/nsqloop"

// Module is what the rules look at: the Go files of one module, parsed, and its
// other text files.
type Module struct {
	fset  *token.FileSet
	files []*file         // sorted by name
	texts []text          // sorted by name, the Go files included
	paths map[string]bool // files and directories that exist, those not read included
}

// file is one Go file.
type file struct {
	name string // relative to the module, with slashes
	room string // the directory of name, "." at the top
	test bool
	ast  *ast.File
	src  string
}

// text is one file as it stands.
type text struct {
	name string
	src  string
}

// Finding is one place where a rule is broken.
type Finding struct {
	File string // relative to the module
	Line int    // 0 when the whole file is meant
	Text string // what is wrong, and what to do instead
}

// String is the finding as compilers print theirs.
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Text)
}

// Load reads the module that lives in root.
func Load(root string) (*Module, error) {
	sources := map[string]string{}
	paths := map[string]bool{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		paths[rel] = true
		if d.IsDir() {
			return enter(root, name)
		}
		if !readable(name) || nested(root, name) {
			return nil
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		sources[rel] = string(src)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", root, err)
	}
	m, err := parse(sources)
	if err != nil {
		return nil, err
	}
	for name := range paths {
		m.paths[name] = true
	}
	return m, nil
}

// enter decides whether the walk goes into a directory.
func enter(root, dir string) error {
	if dir == root {
		return nil
	}
	base := filepath.Base(dir)
	if base == "testdata" || (strings.HasPrefix(base, ".") && base != ".ci") {
		return filepath.SkipDir
	}
	return nil
}

// nested says whether a file belongs to a module inside this one.
func nested(root, name string) bool {
	for dir := filepath.Dir(name); len(dir) > len(root); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return true
		}
	}
	return false
}

// readable says whether a file is text that people wrote.
func readable(name string) bool {
	switch filepath.Ext(name) {
	case ".go", ".md", ".yml", ".mod", ".txt":
		return true
	}
	return filepath.Base(name) == "run"
}

// parse makes a module of sources, by name. Tests of the rules call it with
// files that exist nowhere else.
func parse(sources map[string]string) (*Module, error) {
	m := &Module{fset: token.NewFileSet(), paths: map[string]bool{}}
	names := make([]string, 0, len(sources))
	for name := range sources {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		src := sources[name]
		m.texts = append(m.texts, text{name, src})
		m.paths[name], m.paths[path.Dir(name)] = true, true
		if path.Ext(name) != ".go" {
			continue
		}
		tree, err := parser.ParseFile(m.fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("parse: %w", err)
		}
		m.files = append(m.files, &file{
			name: name,
			room: path.Dir(name),
			test: strings.HasSuffix(name, "_test.go"),
			ast:  tree,
			src:  src,
		})
	}
	return m, nil
}

// at is a finding at a position.
func (m *Module) at(pos token.Pos, format string, args ...any) Finding {
	p := m.fset.Position(pos)
	return Finding{File: p.Filename, Line: p.Line, Text: fmt.Sprintf(format, args...)}
}

// lines is how many lines a node takes.
func (m *Module) lines(n ast.Node) int {
	return m.fset.Position(n.End()).Line - m.fset.Position(n.Pos()).Line + 1
}

// importPath is what an import names.
func importPath(s *ast.ImportSpec) string {
	p, err := strconv.Unquote(s.Path.Value)
	if err != nil {
		return s.Path.Value
	}
	return p
}

// localName is the name under which f knows the package with the given import
// path, and "" when it does not import it.
func (f *file) localName(pkg string) string {
	for _, s := range f.ast.Imports {
		if importPath(s) != pkg {
			continue
		}
		if s.Name != nil {
			return s.Name.Name
		}
		base := path.Base(pkg)
		if base == "v2" {
			base = path.Base(path.Dir(pkg))
		}
		return base
	}
	return ""
}
