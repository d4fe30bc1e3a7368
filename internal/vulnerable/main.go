// Command vulnerable says which known vulnerabilities this module's packages
// reach: go run ./internal/vulnerable -db DIRECTORY [-std] [PACKAGES].
//
// It runs govulncheck over a directory of OSV files, as the database at
// golang.org/x/vulndb has them in data/osv. What is in Go's own library, the
// module cannot mend, only whoever builds it, by building with a newer Go: that
// is shown, and an error with -std alone, as for a release.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
)

// message is what govulncheck -format json prints one after the other, as far as
// it counts here.
type message struct {
	Config *struct {
		GoVersion string `json:"go_version"`
	} `json:"config"`
	OSV *struct {
		ID      string `json:"id"`
		Summary string `json:"summary"`
	} `json:"osv"`
	Finding *struct {
		OSV   string  `json:"osv"`
		Fixed string  `json:"fixed_version"`
		Trace []frame `json:"trace"` // the vulnerable symbol first
	} `json:"finding"`
}

// frame is a place in a trace. It has a function only when that is called.
type frame struct {
	Module   string `json:"module"`
	Version  string `json:"version"`
	Package  string `json:"package"`
	Function string `json:"function"`
}

// hole is a vulnerability in code that is called.
type hole struct {
	ID, Summary, Module, Version, Fixed string
}

// std says whether the hole is in Go's own library.
func (h hole) std() bool { return h.Module == "stdlib" }

// read finds the holes in govulncheck's output, sorted. An output that does not
// begin with its configuration is not one: nothing found would mean nothing.
func read(r io.Reader) ([]hole, error) {
	summaries, found, begun := map[string]string{}, map[hole]bool{}, false
	for d := json.NewDecoder(r); ; {
		var m message
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read govulncheck's output: %w", err)
		}
		begun = begun || m.Config != nil
		if m.OSV != nil {
			summaries[m.OSV.ID] = m.OSV.Summary
		}
		if f := m.Finding; f != nil && len(f.Trace) > 0 && f.Trace[0].Function != "" {
			found[hole{ID: f.OSV, Module: f.Trace[0].Module, Version: f.Trace[0].Version, Fixed: f.Fixed}] = true
		}
	}
	if !begun {
		return nil, errors.New("govulncheck printed nothing of what it was to print")
	}
	var holes []hole
	for h := range found {
		h.Summary = summaries[h.ID]
		holes = append(holes, h)
	}
	sort.Slice(holes, func(i, j int) bool {
		a, b := holes[i], holes[j]
		return a.Module < b.Module || a.Module == b.Module && a.ID < b.ID
	})
	return holes, nil
}

// judge prints the holes and says whether they are too many.
func judge(w io.Writer, holes []hole, std bool) error {
	ours, gos := 0, 0
	for _, h := range holes {
		if h.std() {
			gos++
		} else {
			ours++
		}
		fixed := h.Fixed
		if fixed == "" {
			fixed = "none yet"
		}
		fmt.Fprintf(w, "%s  %s@%s, fixed in %s: %s\n", h.ID, h.Module, h.Version, fixed, h.Summary)
	}
	fmt.Fprintf(w, "reached: %d in modules, %d in Go's library\n", ours, gos)
	if ours > 0 || std && gos > 0 {
		return errors.New("known vulnerabilities are reached")
	}
	return nil
}

// scan runs govulncheck, from the root of the module. With -format json its exit code is 0 whatever it
// finds, so that another one is a failure of its own.
func scan(db string, packages []string) ([]byte, error) {
	db, err := filepath.Abs(db)
	if err != nil {
		return nil, err
	}
	tool := exec.Command("go", "tool", "-n", "-modfile=tools/go.mod", "govulncheck")
	tool.Stderr = os.Stderr
	path, err := tool.Output()
	if err != nil {
		return nil, fmt.Errorf("build govulncheck: %w", err)
	}
	args := append([]string{"-db", "file://" + filepath.ToSlash(db), "-format", "json"}, packages...)
	cmd := exec.Command(string(bytes.TrimSpace(path)), args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("govulncheck: %w", err)
	}
	return out, nil
}

func run() error {
	db := flag.String("db", "", "`directory` of OSV files")
	std := flag.Bool("std", false, "what is in Go's own library is an error, too")
	flag.Parse()
	packages := flag.Args()
	if len(packages) == 0 {
		packages = []string{"./..."}
	}
	out, err := scan(*db, packages)
	if err != nil {
		return err
	}
	holes, err := read(bytes.NewReader(out))
	if err != nil {
		return err
	}
	return judge(os.Stdout, holes, *std)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "vulnerable:", err)
		os.Exit(1)
	}
}
