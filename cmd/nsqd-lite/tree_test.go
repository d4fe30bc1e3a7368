package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTree_DoubleDash: what NSQ's documents write with one dash is understood.
func TestTree_DoubleDash(t *testing.T) {
	root := newTree(newFake(nil, "nsqd-lite").process)
	for _, row := range []struct{ in, want string }{
		{"pub -rate=5 t -null", "pub --rate=5 t --null"},
		{"pub -rate 5 t - -0", "pub --rate 5 t - -0"},
		{"pub --rate=5 -help", "pub --rate=5 --help"},
		{"pub -nope t", "pub -nope t"},
		{"pub t -- -rate", "pub t -- -rate"},
		{"nsqd -tcp-address=:1", "nsqd -tcp-address=:1"},
	} {
		if got := strings.Join(doubleDash(root, strings.Fields(row.in)), " "); got != row.want {
			t.Errorf("%s: %s, want %s", row.in, got, row.want)
		}
	}
}

// TestTree_Completion: four shells have a script, and what the scripts ask is
// answered with commands, and with flags of verbs and roles.
func TestTree_Completion(t *testing.T) {
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{"completion", "bash"}, "__start_nsqd-lite"},
		{[]string{"completion", "zsh"}, "#compdef nsqd-lite"},
		{[]string{"completion", "fish"}, "complete -c nsqd-lite"},
		{[]string{"completion", "powershell"}, "Register-ArgumentCompleter"},
		{[]string{"__complete", "ta"}, "tail\tshow messages"},
		{[]string{"__complete", "pub", "--ba"}, "--batch"},
		{[]string{"__complete", "nsqd", "--max-rdy"}, "--max-rdy-count"},
	} {
		f := newFake(nil, append([]string{"nsqd-lite"}, row.args...)...)
		if code := run(f.process); code != 0 || !strings.Contains(f.out.String(), row.want) {
			t.Errorf("%q: exit %d, %.300s%s, want %q", row.args, code, f.out.String(), f.err.String(), row.want)
		}
	}
}

// TestTree_Manuals: each command has a page that man can read, with all its
// flags.
func TestTree_Manuals(t *testing.T) {
	dir := t.TempDir()
	f := newFake(nil, "nsqd-lite", "man", "--dir="+dir)
	if code := run(f.process); code != 0 {
		t.Fatalf("exit %d %s", code, f.err.String())
	}
	for _, c := range newTree(f.process).Commands() {
		page, err := os.ReadFile(filepath.Join(dir, manualName(c)+".1"))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, want := range []string{".TH ", ".SH NAME\n", ".SH SYNOPSIS\n", ".SH EXIT STATUS\n"} {
			if !strings.Contains(string(page), want) {
				t.Errorf("%s has no %q", c.Name(), want)
			}
		}
	}
	page, err := os.ReadFile(filepath.Join(dir, "nsqd-lite-nsqd.1"))
	if err != nil || !strings.Contains(string(page), `\-\-max\-rdy\-count=int`) || !strings.Contains(string(page), `(default 2500)`) {
		t.Errorf("the page of nsqd: %v %.200s", err, page)
	}
	if man, err := exec.LookPath("man"); err == nil {
		pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range pages {
			cmd := exec.CommandContext(t.Context(), man, "--warnings", "-l", page)
			cmd.Env = []string{"MANWIDTH=80", "MAN_KEEP_STDERR=1", "LC_ALL=C.UTF-8"}
			if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), ": warning: ") {
				t.Errorf("man %s: %v\n%.500s", page, err, out)
			}
		}
	}
	f = newFake(nil, "nsqd-lite", "man", "pub")
	if code := run(f.process); code != 0 || !strings.Contains(f.out.String(), `nsqd\-lite\-pub \- publish BODY`) {
		t.Errorf("exit %d, page %.200s", code, f.out.String())
	}
	f = newFake(nil, "nsqd-lite", "man", "pbu")
	if code := run(f.process); code != exitUsage || !strings.Contains(f.err.String(), "did you mean pub?") {
		t.Errorf("exit %d %s", code, f.err.String())
	}
}

// TestTree_Documented: each command says what it is, in one line, and each of
// its flags too.
func TestTree_Documented(t *testing.T) {
	root := newTree(newFake(nil, "nsqd-lite").process)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") || len(c.Short) > 90 {
			t.Errorf("%s: %q", c.Name(), c.Short)
		}
		if c.GroupID == "" && !c.Hidden {
			t.Errorf("%s belongs to no group", c.Name())
		}
	}
	for _, u := range utilities {
		if !slices.ContainsFunc(roles(), func(r role) bool { return r.name == u }) {
			if c, _ := descend(root, []string{u}); c == root {
				t.Errorf("a link named %s finds no command", u)
			}
		}
	}
}
