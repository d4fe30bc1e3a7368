package tidy

import (
	"go/ast"
	"regexp"
	"strings"
)

// The words are put together here so that this file does not contain them.
var (
	unfinished = regexp.MustCompile(`\b(` + strings.Join([]string{
		"TO" + "DO", "FIX" + "ME", "XX" + "X", "not imple" + "mented", "un" + "implemented", "for" + " now", "place" + "holder",
	}, "|") + `)\b`)

	// someones is what belongs to one machine or one workplace: home
	// directories, registries' hosts, addresses of mail.
	someones = regexp.MustCompile(`(^|[^\w.-])/(home/\w|root/|work/|Users/\w)|\b(proxy|sum|registry|deb)\.[a-z]+\.(org|com)\b|DEVELOPERS` + `\.md`)
)

// Unfinished asserts that no Go file carries a mark of unfinished work: what is
// missing belongs into an issue, what is there works.
func Unfinished(m *Module) []Finding {
	var found []Finding
	for _, f := range m.files {
		found = append(found, grep(f.name, f.src, unfinished, "finish it or file it: ")...)
	}
	return found
}

// Someones asserts that no text names a path or host of one workplace.
func Someones(m *Module) []Finding {
	var found []Finding
	for _, t := range m.texts {
		found = append(found, grep(t.name, t.src, someones, "belongs to one machine: ")...)
	}
	return found
}

// grep reports the lines of src that match.
func grep(name, src string, re *regexp.Regexp, why string) []Finding {
	var found []Finding
	for i, line := range strings.Split(src, "\n") {
		if hit := re.FindString(line); hit != "" {
			found = append(found, Finding{File: name, Line: i + 1, Text: why + strings.TrimSpace(hit)})
		}
	}
	return found
}

// SleepingTests asserts that no test sleeps: virtual time has no need to, and a
// real socket is waited for with a condition and a deadline.
func SleepingTests(m *Module) []Finding {
	var found []Finding
	for _, f := range m.files {
		if !f.test {
			continue
		}
		m.eachUse(f, func(sel *ast.SelectorExpr, pkg string) {
			if pkg == "time" && sel.Sel.Name == "Sleep" {
				found = append(found, m.at(sel.Pos(), "time.Sleep in a test: use looptest, or wait for the condition with a deadline"))
			}
		})
	}
	return found
}
