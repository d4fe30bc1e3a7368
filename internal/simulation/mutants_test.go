package simulation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var mutantsFlag = flag.String("mutants", "", "put in the deliberate bugs whose names match this expression, one by one, and see that each is found")

// mutantTime bounds how long schedules are run with one bug.
const mutantTime = 10 * time.Minute

// mutant is a bug that is put into the product on purpose.
type mutant struct {
	name string
	file string // from the top of the module
	old  string // is there exactly once
	new  string
	runs uint64 // within so many schedules it must be found
	seed uint64 // of a rare bug: the one of TestSimulation_Regressions that finds it, alone
}

// root is the top of the module.
const root = "../.."

// apply returns the file with the bug.
func (m *mutant) apply() ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(text, []byte(m.old)); n != 1 {
		return nil, fmt.Errorf("%s has %d times, want once:\n%s", m.file, n, m.old)
	}
	return bytes.Replace(text, []byte(m.old), []byte(m.new), 1), nil
}

// Every bug can be put in as the code is.
func TestMutants_Apply(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range mutants {
		if _, err := m.apply(); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		if seen[m.name] || m.old == m.new || m.runs == 0 {
			t.Errorf("%s: there are two of that name, or it changes nothing, or has no limit", m.name)
		}
		seen[m.name] = true
	}
}

// Every bug is found. The programs with the bugs are built beside the sources,
// which stay as they are.
func TestMutants(t *testing.T) {
	if *mutantsFlag == "" {
		t.Skip("takes minutes: run it with -mutants .")
	}
	match, err := regexp.Compile(*mutantsFlag)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants {
		if match.MatchString(m.name) {
			t.Run(strings.ReplaceAll(m.name, " ", "_"), m.find)
		}
	}
}

// find runs schedules with the bug until one goes wrong.
func (m *mutant) find(t *testing.T) {
	text, err := m.apply()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	replacement, overlay, program := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "mutant.test")
	at, err := filepath.Abs(filepath.Join(root, m.file))
	if err != nil {
		t.Fatal(err)
	}
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{at: replacement}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(replacement, text, 0o600), os.WriteFile(overlay, list, 0o600)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "test", "-c", "-overlay", overlay, "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), mutantTime)
	defer cancel()
	args := []string{"-test.run", "^TestSimulation$", "-brief", "-runs", fmt.Sprint(m.runs)}
	if m.seed != 0 {
		args = append(args, "-base", "-from", fmt.Sprint(m.seed))
	}
	run := exec.CommandContext(ctx, program, args...)
	run.Env = append(os.Environ(), "GOMAXPROCS=1") // seed after seed
	began := time.Now()
	out, err := run.CombinedOutput()
	found := regexp.MustCompile(`seed (\d+): (.*)`).FindSubmatch(out)
	switch {
	case err == nil:
		t.Errorf("not found in %d schedules: %s", m.runs, m.file)
	case found == nil:
		t.Errorf("ended with %v and no seed:\n%s", err, out)
	default:
		t.Logf("found by seed %s after %v: %s", found[1], time.Since(began).Round(time.Millisecond), found[2])
	}
}
