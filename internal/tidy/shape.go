package tidy

import (
	"go/ast"
	"go/token"
	"slices"
	"sort"
	"strings"
)

// Sizes that a file and a function may have. They are a compass: what passes
// them and is right that way is listed with its reason.
const (
	fileLines     = 500
	functionLines = 80
)

// Sizes asserts that files and functions of what is built stay readable.
func Sizes(m *Module) []Finding {
	var found []Finding
	used := map[string]bool{}
	report := func(key string, f Finding) {
		if long[key] != "" {
			used[key] = true
			return
		}
		found = append(found, f)
	}
	for _, f := range m.files {
		if f.test {
			continue
		}
		if n := strings.Count(f.src, "\n"); n > fileLines {
			report(f.name, Finding{File: f.name, Line: n, Text: "more than 500 lines: the file answers two questions"})
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := m.lines(fn); n > functionLines {
				report(f.name+" "+fn.Name.Name, m.at(fn.Pos(), "%s has %d lines: a step with a name of its own hides in it", fn.Name.Name, n))
			}
		}
	}
	return append(found, m.needless(long, used)...)
}

// Documented asserts that each package says what it is, and each exported
// identifier what a caller must know.
func Documented(m *Module) []Finding {
	var found []Finding
	described := map[string]bool{}
	first := map[string]*file{}
	for _, f := range m.files {
		if f.test {
			continue
		}
		if first[f.room] == nil {
			first[f.room] = f
		}
		if f.ast.Doc != nil {
			described[f.room] = true
		}
		for _, d := range f.ast.Decls {
			found = append(found, m.undocumented(f, d)...)
		}
	}
	for _, dir := range sortedKeys(first) {
		if !described[dir] {
			found = append(found, Finding{File: first[dir].name, Line: 1, Text: "package " + dir + " has no package comment"})
		}
	}
	return found
}

// undocumented reports what a declaration exports without a word.
func (m *Module) undocumented(f *file, d ast.Decl) []Finding {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if !d.Name.IsExported() || f.ast.Name.Name == "main" || !exportedReceiver(d) || selfEvident(d) {
			return nil
		}
		return m.judgeDoc(d.Pos(), d.Name.Name, d.Doc)
	case *ast.GenDecl:
		if f.ast.Name.Name == "main" {
			return nil
		}
		var found []Finding
		for _, s := range d.Specs {
			found = append(found, m.undocumentedSpec(f, d, s)...)
		}
		return found
	}
	return nil
}

// undocumentedSpec looks at one type, or at one line of constants or variables,
// for which a comment above their group is enough.
func (m *Module) undocumentedSpec(f *file, d *ast.GenDecl, s ast.Spec) []Finding {
	switch s := s.(type) {
	case *ast.TypeSpec:
		if !s.Name.IsExported() {
			return nil
		}
		doc := s.Doc
		if doc == nil && d.Lparen == token.NoPos {
			doc = d.Doc
		}
		found := m.judgeDoc(s.Pos(), s.Name.Name, doc)
		if !slices.Contains(strings.Split(f.room, "/"), "internal") {
			found = append(found, m.undocumentedFields(s)...)
		}
		return found
	case *ast.ValueSpec:
		exported := slices.ContainsFunc(s.Names, (*ast.Ident).IsExported)
		if exported && s.Doc == nil && s.Comment == nil && d.Doc == nil {
			return []Finding{m.at(s.Pos(), "exported %s has no comment", s.Names[0].Name)}
		}
	}
	return nil
}

// undocumentedFields looks at the fields of option structs that users fill in:
// there, each one is a question.
func (m *Module) undocumentedFields(s *ast.TypeSpec) []Finding {
	t, ok := s.Type.(*ast.StructType)
	if !ok || !strings.HasSuffix(s.Name.Name, "Options") {
		return nil
	}
	var found []Finding
	covered := false // a comment covers the fields that follow it without an empty line
	last := 0
	for _, field := range t.Fields.List {
		line := m.fset.Position(field.Pos()).Line
		covered = field.Doc != nil || field.Comment != nil || (covered && line == last+1)
		last = m.fset.Position(field.End()).Line
		if len(field.Names) > 0 && field.Names[0].IsExported() && !covered {
			found = append(found, m.at(field.Pos(), "option %s.%s has no comment: say its default and its unit", s.Name.Name, field.Names[0].Name))
		}
	}
	return found
}

// judgeDoc reports a comment that is missing or starts with another name.
func (m *Module) judgeDoc(pos token.Pos, name string, doc *ast.CommentGroup) []Finding {
	if doc == nil {
		return []Finding{m.at(pos, "exported %s has no comment", name)}
	}
	said := strings.TrimSpace(doc.Text())
	for _, article := range []string{"", "A ", "An ", "The "} {
		rest, ok := strings.CutPrefix(said, article+name)
		if ok && (rest == "" || !isLetter(rest[0])) {
			return nil
		}
	}
	return []Finding{m.at(pos, "the comment of %s does not begin with its name", name)}
}

func isLetter(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '_'
}

// exportedReceiver says whether d is a function, or a method of an exported type.
func exportedReceiver(d *ast.FuncDecl) bool {
	return receiver(d) == "" || ast.IsExported(receiver(d))
}

// receiver is the name of the type that d is a method of, or "".
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return ""
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// selfEvident says whether d is a method whose contract the standard library
// writes.
func selfEvident(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return false
	}
	switch d.Name.Name {
	case "String", "Error", "Unwrap", "Is", "As", "Len", "Less", "Swap", "MarshalJSON", "UnmarshalJSON", "MarshalText", "UnmarshalText":
		return true
	}
	return false
}

// sortedKeys is the keys of a map in order, so that findings come in order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
