package tidy

import (
	"go/ast"
	"path"
	"regexp"
	"strings"
)

var (
	quoted   = regexp.MustCompile("`([^`]+)`")
	dotted   = regexp.MustCompile(`^[A-Za-z]\w*(\.\w+)+$`)
	filelike = regexp.MustCompile(`^[\w.-]+(/[\w.-]+)*(\.go|\.md|\.yml|\.mod|/)$`)
	link     = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	goBlock  = regexp.MustCompile("(?s)```go\n(.*?)```")
)

// pathHeading is the section of ARCHITECTURE.md whose table follows a message.
const pathHeading = "## The path of one message"

// PathOfAMessage asserts that each function which ARCHITECTURE.md names on the
// path of a message exists. Names there are `package.Type.method`,
// `package.function` or `package.Type`.
func PathOfAMessage(m *Module) []Finding {
	names := m.names()
	var found []Finding
	steps := 0
	for line, s := range m.section("ARCHITECTURE.md", pathHeading) {
		if !strings.HasPrefix(s, "|") {
			continue
		}
		for _, q := range quoted.FindAllStringSubmatch(s, -1) {
			if !dotted.MatchString(q[1]) {
				continue
			}
			steps++
			if !names[q[1]] {
				found = append(found, Finding{File: "ARCHITECTURE.md", Line: line, Text: "no room declares " + q[1]})
			}
		}
	}
	if steps == 0 {
		found = append(found, Finding{File: "ARCHITECTURE.md", Text: "the section " + pathHeading + " names no function"})
	}
	return found
}

// section yields the lines of a file from a heading to the next one of the same
// depth, with their numbers.
func (m *Module) section(name, heading string) func(yield func(int, string) bool) {
	return func(yield func(int, string) bool) {
		depth := heading[:strings.IndexByte(heading, ' ')+1]
		inside := false
		for i, s := range strings.Split(m.text(name), "\n") {
			if strings.HasPrefix(s, depth) {
				inside = s == heading
			}
			if inside && !yield(i+1, s) {
				return
			}
		}
	}
}

// text is the content of a file, "" when there is none.
func (m *Module) text(name string) string {
	for _, t := range m.texts {
		if t.name == name {
			return t.src
		}
	}
	return ""
}

// names is what the rooms declare at their top, each name behind the last
// element of its room's path: functions, types, methods behind their type.
func (m *Module) names() map[string]bool {
	names := map[string]bool{}
	for _, f := range m.files {
		if f.test {
			continue
		}
		pkg := path.Base(f.room) + "."
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				name := d.Name.Name
				if r := receiver(d); r != "" {
					name = r + "." + name
				}
				names[pkg+name] = true
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if t, ok := s.(*ast.TypeSpec); ok {
						names[pkg+t.Name.Name] = true
						interfaceMethods(t, func(method string) { names[pkg+t.Name.Name+"."+method] = true })
					}
				}
			}
		}
	}
	return names
}

// interfaceMethods calls f for each method that an interface type names.
func interfaceMethods(t *ast.TypeSpec, f func(method string)) {
	iface, ok := t.Type.(*ast.InterfaceType)
	if !ok {
		return
	}
	for _, field := range iface.Methods.List {
		for _, id := range field.Names {
			f(id.Name)
		}
	}
}

// Paths asserts that the files and directories which the documents name exist:
// those in backquotes that look like a path in this repository, and the targets
// of links.
func Paths(m *Module) []Finding {
	var found []Finding
	for _, t := range m.texts {
		if path.Ext(t.name) != ".md" {
			continue
		}
		for i, line := range strings.Split(t.src, "\n") {
			var named []string
			for _, q := range quoted.FindAllStringSubmatch(line, -1) {
				if filelike.MatchString(q[1]) && strings.Contains(q[1], "/") {
					named = append(named, q[1])
				}
			}
			for _, l := range link.FindAllStringSubmatch(line, -1) {
				named = append(named, path.Join(path.Dir(t.name), l[1]))
			}
			for _, name := range named {
				if !m.paths[strings.TrimSuffix(name, "/")] {
					found = append(found, Finding{File: t.name, Line: i + 1, Text: "names " + name + ", which does not exist"})
				}
			}
		}
	}
	return found
}

// ReadmePrograms asserts that each whole program in README.md is, to the letter,
// a file under examples/, where it is built and tested.
func ReadmePrograms(m *Module) []Finding {
	var found []Finding
	for _, block := range goBlock.FindAllStringSubmatch(m.text("README.md"), -1) {
		if !strings.HasPrefix(block[1], "package ") {
			continue
		}
		same := false
		for _, f := range m.files {
			same = same || (strings.HasPrefix(f.room, "examples/") && strings.HasSuffix(f.src, block[1]))
		}
		if !same {
			found = append(found, Finding{File: "README.md", Text: "a program differs from the file under examples/ that it shows"})
		}
	}
	return found
}
