package tidy

import (
	"strings"
)

// room is a row of the import table.
type room struct {
	ours    string // rooms of this module that it may import, separated by spaces; a trailing /... takes those below too
	outside string // modules other than the standard library that it may import
	not     string // what it never knows; the row's reason
}

// anything is the row of rooms that watch the others; nothing imports them.
const anything = "*"

// mayImport finds the row of a room: its own, or that of the nearest room above
// it whose key ends in /... .
func mayImport(dir string) (room, bool) {
	if r, ok := rooms[dir]; ok {
		return r, true
	}
	for at := dir; at != "."; {
		i := strings.LastIndexByte(at, '/')
		if i < 0 {
			break
		}
		at = at[:i]
		if r, ok := rooms[at+"/..."]; ok {
			return r, true
		}
	}
	return room{}, false
}

// Imports asserts the import table for what is built, and for tests that they
// import neither the rooms that watch nor gnet.
func Imports(m *Module) []Finding {
	var found []Finding
	seen := map[string]bool{}
	for _, f := range m.files {
		row, ok := mayImport(f.room)
		if !ok {
			if !seen[f.room] {
				found = append(found, Finding{File: f.name, Text: "room " + f.room + " has no row in the import table: say there what it may import and what it never knows"})
			}
			seen[f.room] = true
			continue
		}
		for _, s := range f.ast.Imports {
			if why := refuse(f, row, importPath(s)); why != "" {
				found = append(found, m.at(s.Pos(), "%s", why))
			}
		}
	}
	return found
}

// refuse says why f may not import pkg; "" when it may.
func refuse(f *file, row room, pkg string) string {
	mine, ours := strings.CutPrefix(pkg, modulePath+"/")
	switch {
	case ours && watches(mine) && !watches(f.room):
		return f.room + " imports " + mine + ", which watches the others and is imported by none"
	case strings.HasPrefix(pkg, "github.com/panjf2000/gnet") && f.room != "loop":
		return f.room + " imports gnet: only loop does"
	case f.test || row.ours == anything:
		return ""
	case ours && mine != f.room && !listed(row.ours, mine):
		return f.room + " may not import " + mine + ": it never knows " + row.not
	case !ours && strings.Contains(strings.SplitN(pkg, "/", 2)[0], ".") && !listed(row.outside, pkg):
		return f.room + " may not import " + pkg + ": its row in the import table does not list it"
	}
	return ""
}

// watches says whether a room may import anything.
func watches(dir string) bool {
	row, ok := mayImport(dir)
	return ok && row.ours == anything
}

// listed says whether pkg is one of the space-separated names, or lies below
// one that ends in /... .
func listed(names, pkg string) bool {
	for _, name := range strings.Fields(names) {
		if name == pkg {
			return true
		}
		if above, ok := strings.CutSuffix(name, "/..."); ok && (pkg == above || strings.HasPrefix(pkg, above+"/")) {
			return true
		}
	}
	return false
}

// Templates asserts that nothing which ends up in the server's program imports
// a template package: executing one makes the linker keep every exported method.
func Templates(m *Module) []Finding {
	reached := reach(m, "cmd/nsqd-lite")
	var found []Finding
	for _, f := range m.files {
		if f.test || !reached[f.room] {
			continue
		}
		for _, s := range f.ast.Imports {
			if p := importPath(s); p == "text/template" || p == "html/template" {
				found = append(found, m.at(s.Pos(), "%s is part of nsqd-lite and imports %s: write static HTML and JSON instead", f.room, p))
			}
		}
	}
	return found
}

// reach is the rooms that a room imports, directly or not, itself included.
func reach(m *Module, from string) map[string]bool {
	reached := map[string]bool{from: true}
	for grown := true; grown; {
		grown = false
		for _, f := range m.files {
			if f.test || !reached[f.room] {
				continue
			}
			for _, s := range f.ast.Imports {
				if mine, ours := strings.CutPrefix(importPath(s), modulePath+"/"); ours && !reached[mine] {
					reached[mine], grown = true, true
				}
			}
		}
	}
	return reached
}
