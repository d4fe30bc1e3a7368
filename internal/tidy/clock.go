package tidy

import (
	"go/ast"
)

// clockCalls are the functions that read the clock or start a timer, by package.
var clockCalls = map[string][]string{
	"time":    {"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"},
	"context": {"WithTimeout", "WithDeadline", "WithTimeoutCause", "WithDeadlineCause"},
}

// randomTypes are what other rooms may name of the random packages: types to
// pass on, no source and no number of their own.
var randomTypes = map[string]bool{"Rand": true, "Source": true, "Zipf": true, "PCG": true, "ChaCha8": true}

// OneClock asserts that only loop reads the clock and starts timers, so that
// everything else runs on virtual time too.
func OneClock(m *Module) []Finding {
	return m.outsideLoop(mayReadClock, func(f *file, pkg, name string) string {
		for _, banned := range clockCalls[pkg] {
			if name == banned {
				return pkg + "." + name + " outside loop: take the time from loop.Loop or as an argument"
			}
		}
		return ""
	})
}

// OneDice asserts that only loop makes randomness, so that a seed replays.
func OneDice(m *Module) []Finding {
	return m.outsideLoop(mayMakeRandomness, func(f *file, pkg, name string) string {
		switch pkg {
		case "crypto/rand":
			return "crypto/rand outside loop: use loop.Loop.Rand"
		case "math/rand", "math/rand/v2":
			if !randomTypes[name] {
				return pkg + "." + name + " outside loop: use loop.Loop.Rand or take a *rand.Rand"
			}
		}
		return ""
	})
}

// outsideLoop calls judge for each use of a package's name in files that are
// built and are neither loop's own nor listed, and reports listings that have
// become needless.
func (m *Module) outsideLoop(allowed map[string]string, judge func(f *file, pkg, name string) string) []Finding {
	var found []Finding
	used := map[string]bool{}
	for _, f := range m.files {
		if f.test || f.room == "loop" {
			continue
		}
		m.eachUse(f, func(sel *ast.SelectorExpr, pkg string) {
			why := judge(f, pkg, sel.Sel.Name)
			if why == "" {
				return
			}
			if key := listing(allowed, f); key != "" {
				used[key] = true
				return
			}
			found = append(found, m.at(sel.Pos(), "%s", why))
		})
	}
	return append(found, m.needless(allowed, used)...)
}

// eachUse calls f for each pkg.Name in a file, with the import path of pkg.
func (m *Module) eachUse(f *file, use func(sel *ast.SelectorExpr, pkg string)) {
	paths := map[string]string{}
	for _, s := range f.ast.Imports {
		p := importPath(s)
		paths[f.localName(p)] = p
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && paths[x.Name] != "" {
				use(sel, paths[x.Name])
			}
		}
		return true
	})
}

// listing is the key under which a list names the file or its room, or "".
func listing(list map[string]string, f *file) string {
	for _, key := range []string{f.name, f.room} {
		if list[key] != "" {
			return key
		}
	}
	return ""
}

// needless reports entries of a list that nothing uses. An entry whose file the
// module does not have is left alone when the module is a sample.
func (m *Module) needless(list map[string]string, used map[string]bool) []Finding {
	if m.sample() {
		return nil
	}
	var found []Finding
	for _, key := range sortedKeys(list) {
		if !used[key] {
			found = append(found, Finding{File: key, Text: "the exception is no longer needed: take it off the list (" + list[key] + ")"})
		}
	}
	return found
}

// sample says whether the module is a few files made up by a test.
func (m *Module) sample() bool {
	for _, t := range m.texts {
		if t.name == "go.mod" {
			return false
		}
	}
	return true
}

// GoStatements asserts that goroutines start only in the files that say why:
// everywhere else, state belongs to the loop.
func GoStatements(m *Module) []Finding {
	var found []Finding
	used := map[string]bool{}
	report := func(f *file, n ast.Node, what string) {
		if key := listing(mayStartGoroutines, f); key != "" {
			used[key] = true
			return
		}
		found = append(found, m.at(n.Pos(), "%s: use loop.Loop.Go or Post, or list the file with its reason", what))
	}
	for _, f := range m.files {
		if f.test {
			continue
		}
		groups := waitGroups(m, f)
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				report(f, n, "go statement")
			case *ast.CallExpr:
				if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Go" && groups[lastName(sel.X)] {
					report(f, n, "goroutine started by a WaitGroup")
				}
			}
			return true
		})
	}
	return append(found, m.needless(mayStartGoroutines, used)...)
}

// waitGroups is the names that f's room declares with type sync.WaitGroup.
func waitGroups(m *Module, f *file) map[string]bool {
	names := map[string]bool{}
	add := func(t ast.Expr, ids []*ast.Ident) {
		sel, ok := t.(*ast.SelectorExpr)
		if !ok || sel.Sel.Name != "WaitGroup" || lastName(sel.X) != "sync" {
			return
		}
		for _, id := range ids {
			names[id.Name] = true
		}
	}
	for _, other := range m.files {
		if other.room != f.room {
			continue
		}
		ast.Inspect(other.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Field:
				add(n.Type, n.Names)
			case *ast.ValueSpec:
				add(n.Type, n.Names)
			}
			return true
		})
	}
	return names
}

// lastName is the last identifier of a.b.c.
func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}
