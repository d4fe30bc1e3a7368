package tidy

import (
	"strings"
	"sync"
	"testing"
)

// repository is the module this test is part of, read once.
var repository = sync.OnceValues(func() (*Module, error) { return Load("../..") })

// holds fails the test for each finding in the repository.
func holds(t *testing.T, rule func(*Module) []Finding) {
	t.Helper()
	m, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range rule(m) {
		t.Error(f)
	}
}

// sample is a rule, files that break it, and what the finding must say.
type sample struct {
	rule  func(*Module) []Finding
	files map[string]string
	want  string // "" when the files keep the rule
}

func check(t *testing.T, samples map[string]sample) {
	t.Helper()
	for name, s := range samples {
		t.Run(name, func(t *testing.T) {
			m, err := parse(s.files)
			if err != nil {
				t.Fatal(err)
			}
			found := s.rule(m)
			switch {
			case s.want == "" && len(found) > 0:
				t.Errorf("found %q, want nothing", found)
			case s.want != "" && len(found) != 1:
				t.Errorf("found %q, want one finding with %q", found, s.want)
			case s.want != "" && !strings.Contains(found[0].String(), s.want):
				t.Errorf("found %q, want %q in it", found[0], s.want)
			}
		})
	}
}

func TestImports(t *testing.T)        { holds(t, Imports) }
func TestTemplates(t *testing.T)      { holds(t, Templates) }
func TestOneClock(t *testing.T)       { holds(t, OneClock) }
func TestOneDice(t *testing.T)        { holds(t, OneDice) }
func TestGoStatements(t *testing.T)   { holds(t, GoStatements) }
func TestUnfinished(t *testing.T)     { holds(t, Unfinished) }
func TestSomeones(t *testing.T)       { holds(t, Someones) }
func TestSleepingTests(t *testing.T)  { holds(t, SleepingTests) }
func TestSizes(t *testing.T)          { holds(t, Sizes) }
func TestDocumented(t *testing.T)     { holds(t, Documented) }
func TestPathOfAMessage(t *testing.T) { holds(t, PathOfAMessage) }
func TestPaths(t *testing.T)          { holds(t, Paths) }
func TestReadmePrograms(t *testing.T) { holds(t, ReadmePrograms) }
func TestLogging(t *testing.T)        { holds(t, Logging) }

func TestImports_CanFail(t *testing.T) {
	ours := func(from, pkg string) map[string]string {
		return map[string]string{from: "package p\nimport _ \"" + pkg + "\"\n"}
	}
	check(t, map[string]sample{
		"a room above":             {Imports, ours("internal/wire/a.go", modulePath+"/loop"), "may not import loop"},
		"the server and the SDK":   {Imports, ours("server/a.go", modulePath+"/writer"), "never knows the SDK"},
		"the SDK and the server":   {Imports, ours("reader/a.go", modulePath+"/server"), "may not import server"},
		"gnet":                     {Imports, ours("server/a.go", "github.com/panjf2000/gnet/v2"), "only loop does"},
		"gnet in a test":           {Imports, ours("client/a_test.go", "github.com/panjf2000/gnet/v2"), "only loop does"},
		"gnet below loop":          {Imports, ours("loop/looptest/a.go", "github.com/panjf2000/gnet/v2"), "only loop does"},
		"what watches":             {Imports, ours("server/a_test.go", modulePath+"/internal/simulation"), "imported by none"},
		"a new module":             {Imports, ours("writer/a.go", "example.org/x"), "does not list it"},
		"a room without a row":     {Imports, ours("utils/a.go", "fmt"), "has no row"},
		"what the table allows":    {Imports, ours("reader/a.go", modulePath+"/client"), ""},
		"an example's choice":      {Imports, ours("examples/x/a.go", modulePath+"/server"), ""},
		"a test may use more":      {Imports, ours("reader/a_test.go", modulePath+"/server/nsqtest"), ""},
		"the watchers may do more": {Imports, ours("internal/simulation/a.go", modulePath+"/server"), ""},
	})
}

func TestTemplates_CanFail(t *testing.T) {
	check(t, map[string]sample{
		"two steps away": {Templates, map[string]string{
			"cmd/nsqd-lite/main.go": "package main\nimport _ \"" + modulePath + "/server\"\n",
			"server/a.go":           "package server\nimport _ \"html/template\"\n",
		}, "write static HTML"},
		"not in the program": {Templates, map[string]string{
			"internal/bench/a.go": "package main\nimport _ \"text/template\"\n",
		}, ""},
	})
}

func TestOneClock_CanFail(t *testing.T) {
	src := func(body string) string { return "package p\nimport \"time\"\nfunc f() { " + body + " }\n" }
	check(t, map[string]sample{
		"now":           {OneClock, map[string]string{"server/a.go": src("_ = time.Now()")}, "server/a.go:3: time.Now outside loop"},
		"as a value":    {OneClock, map[string]string{"server/a.go": src("g := time.Now; g()")}, "time.Now outside loop"},
		"renamed":       {OneClock, map[string]string{"writer/a.go": "package p\nimport t \"time\"\nvar _ = t.After\n"}, "time.After outside loop"},
		"a timer":       {OneClock, map[string]string{"loop/looptest/a.go": src("time.AfterFunc(0, nil)")}, "time.AfterFunc outside loop"},
		"with timeout":  {OneClock, map[string]string{"server/a.go": "package p\nimport \"context\"\nvar _ = context.WithTimeout\n"}, "context.WithTimeout outside loop"},
		"in loop":       {OneClock, map[string]string{"loop/a.go": src("_ = time.Now()")}, ""},
		"a test waits":  {OneClock, map[string]string{"server/a_test.go": src("<-time.After(1)")}, ""},
		"only types":    {OneClock, map[string]string{"server/a.go": src("var _ time.Duration = time.Second")}, ""},
		"not the clock": {OneClock, map[string]string{"server/a.go": "package p\nvar time struct{ Now int }\nvar _ = time.Now\n"}, ""},
	})
}

func TestOneDice_CanFail(t *testing.T) {
	check(t, map[string]sample{
		"a number": {OneDice, map[string]string{"reader/a.go": "package p\nimport \"math/rand/v2\"\nvar _ = rand.IntN(3)\n"}, "math/rand/v2.IntN outside loop"},
		"a source": {OneDice, map[string]string{"reader/a.go": "package p\nimport \"math/rand\"\nvar _ = rand.New(nil)\n"}, "math/rand.New outside loop"},
		"crypto":   {OneDice, map[string]string{"server/a.go": "package p\nimport \"crypto/rand\"\nvar _ = rand.Reader\n"}, "crypto/rand outside loop"},
		"a type":   {OneDice, map[string]string{"reader/a.go": "package p\nimport \"math/rand/v2\"\nfunc f(r *rand.Rand) {}\n"}, ""},
	})
}

func TestGoStatements_CanFail(t *testing.T) {
	check(t, map[string]sample{
		"a statement":    {GoStatements, map[string]string{"server/a.go": "package p\nfunc f() { go f() }\n"}, "go statement"},
		"a group":        {GoStatements, map[string]string{"server/a.go": "package p\nimport \"sync\"\ntype t struct{ wg sync.WaitGroup }\nfunc (x *t) f() { x.wg.Go(nil) }\n"}, "by a WaitGroup"},
		"the loop's Go":  {GoStatements, map[string]string{"server/a.go": "package p\nfunc f(l interface{ Go(func()) }) { l.Go(nil) }\n"}, ""},
		"in a test":      {GoStatements, map[string]string{"server/a_test.go": "package p\nfunc f() { go f() }\n"}, ""},
		"a listed place": {GoStatements, map[string]string{"loop/dial.go": "package p\nfunc f() { go f() }\n"}, ""},
	})
}

func TestWords_CanFail(t *testing.T) {
	check(t, map[string]sample{
		"a mark":         {Unfinished, map[string]string{"server/a.go": "package p\n\n// TO" + "DO: later\n"}, "server/a.go:3: finish it"},
		"part of a word": {Unfinished, map[string]string{"server/a.go": "package p\n\n// TO" + "DOS is old\n"}, ""},
		"a home":         {Someones, map[string]string{"README.md": "see /ho" + "me/ann/x\n"}, "belongs to one machine"},
		"a host":         {Someones, map[string]string{"a.yml": "url: pro" + "xy.golang.org\n"}, "belongs to one machine"},
		"a temporary":    {Someones, map[string]string{"README.md": "see /tmp/x and homework/x\n"}, ""},
		"a sleep":        {SleepingTests, map[string]string{"a_test.go": "package p\nimport \"time\"\nfunc f() { time.Sleep(1) }\n"}, "time.Sleep in a test"},
	})
}

func TestSizes_CanFail(t *testing.T) {
	check(t, map[string]sample{
		"a long file":     {Sizes, map[string]string{"server/a.go": "package p\n" + strings.Repeat("\n", 501)}, "two questions"},
		"a long function": {Sizes, map[string]string{"server/a.go": "package p\nfunc f() {\n" + strings.Repeat("\n", 80) + "}\n"}, "f has 82 lines"},
		"both short":      {Sizes, map[string]string{"server/a.go": "package p\nfunc f() {\n" + strings.Repeat("\n", 78) + "}\n"}, ""},
		"a long test":     {Sizes, map[string]string{"server/a_test.go": "package p\n" + strings.Repeat("\n", 501)}, ""},
	})
}

func TestDocumented_CanFail(t *testing.T) {
	src := func(s string) map[string]string {
		return map[string]string{"server/a.go": "// Package p is.\npackage p\n" + s}
	}
	check(t, map[string]sample{
		"no package comment":  {Documented, map[string]string{"server/a.go": "package p\n"}, "no package comment"},
		"a function":          {Documented, src("func F() {}\n"), "exported F has no comment"},
		"another name":        {Documented, src("// Does things.\nfunc F() {}\n"), "does not begin with its name"},
		"a longer name":       {Documented, src("// Fs does.\nfunc F() {}\n"), "does not begin with its name"},
		"a type":              {Documented, src("type T int\n"), "exported T has no comment"},
		"a method":            {Documented, src("// T is.\ntype T int\nfunc (*T) M() {}\n"), "exported M has no comment"},
		"a constant":          {Documented, src("const C = 1\n"), "exported C has no comment"},
		"an option":           {Documented, src("// Options are.\ntype Options struct {\n\tA int\n}\n"), "option Options.A"},
		"a group of options":  {Documented, src("// Options are.\ntype Options struct {\n\t// A and B are.\n\tA int\n\tB int\n}\n"), ""},
		"an option further":   {Documented, src("// Options are.\ntype Options struct {\n\t// A is.\n\tA int\n\n\tB int\n}\n"), "option Options.B"},
		"an article":          {Documented, src("// A T is.\ntype T int\n"), ""},
		"a group":             {Documented, src("// The codes.\nconst (\n\tA = 1\n\tB = 2\n)\n"), ""},
		"what all know":       {Documented, src("// T is.\ntype T int\nfunc (T) String() string { return \"\" }\n"), ""},
		"an unexported thing": {Documented, src("func f() {}\ntype t int\nfunc (t) M() {}\n"), ""},
	})
}

func TestDocuments_CanFail(t *testing.T) {
	code := "package server\ntype conn struct{}\nfunc (c *conn) OnData() {}\n"
	check(t, map[string]sample{
		"a name that is gone": {PathOfAMessage, map[string]string{"server/a.go": code, "ARCHITECTURE.md": pathHeading + "\n| `server.conn.onData` |\n"}, "ARCHITECTURE.md:2: no room declares server.conn.onData"},
		"no name at all":      {PathOfAMessage, map[string]string{"server/a.go": code, "ARCHITECTURE.md": "## Rooms\n| `server.conn.OnData` |\n"}, "names no function"},
		"a name that is":      {PathOfAMessage, map[string]string{"server/a.go": code, "ARCHITECTURE.md": pathHeading + "\n| `server.conn.OnData` |\n## Next\n| `a.b` |\n"}, ""},
		"a file that is gone": {Paths, map[string]string{"a.md": "see `server/b.go`\n", "server/a.go": code}, "names server/b.go"},
		"a broken link":       {Paths, map[string]string{"docs/a.md": "see [b](b.md)\n"}, "names docs/b.md"},
		"paths that are":      {Paths, map[string]string{"docs/a.md": "see [b](../README.md#x) and `docs/a.md` and `docs/` and [web](https://example.org/x)\n", "README.md": ""}, ""},
		"another program":     {ReadmePrograms, map[string]string{"README.md": "```go\npackage main\n```\n", "examples/a/a.go": "package other\n"}, "differs"},
		"the same program":    {ReadmePrograms, map[string]string{"README.md": "```go\npackage main\n```\n", "examples/a/a.go": "// Command a is.\npackage main\n"}, ""},
	})
}

func TestExceptions_NeedlessOnesAreFound(t *testing.T) {
	m, err := parse(map[string]string{"go.mod": "", "loop/a.go": "package loop\n"})
	if err != nil {
		t.Fatal(err)
	}
	got := GoStatements(m)
	if len(got) != len(mayStartGoroutines) {
		t.Errorf("found %d needless exceptions, want all %d", len(got), len(mayStartGoroutines))
	}
}

func TestLogging_CanFail(t *testing.T) {
	files := func(row string) map[string]string {
		return map[string]string{
			"go.mod":          "module p\n",
			"reader/a.go":     "package reader\n\nfunc f(r *reader) { r.log.Warn(\"slow\", \"nsqd\", r.addr, \"err\", r.err) }\n",
			"server/a.go":     "package server\n\nfunc f(s *server) { s.log.Warn(\"other\") }\n",
			"docs/logging.md": row,
		}
	}
	check(t, map[string]sample{
		"a row":           {Logging, files("| reader | warn | `slow` | `nsqd`, `err` | it is |\n"), ""},
		"no row":          {Logging, files("| room | level | message | keys | when |\n"), "docs/logging.md has no row | reader | warn | `slow` | `nsqd`, `err` |"},
		"another key":     {Logging, files("| reader | warn | `slow` | `nsqd`, `err` | it is |\n| reader | warn | `slow` | `nsqd` | it is |\n"), "no line of log is | reader | warn | `slow` | `nsqd` |"},
		"a line that was": {Logging, files("| reader | warn | `slow` | `nsqd`, `err` | it is |\n| loop | info | `gone` |  | never |\n"), "no line of log is | loop | info | `gone` |  |"},
	})
}
