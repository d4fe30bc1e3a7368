package server

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// metricNames are the names of NSQ's metrics in a text.
var metricNames = regexp.MustCompile(`\bnsq(d|lookupd)_[a-z0-9_]+`)

// toldNames are all names that servers say, with the series of histograms.
func toldNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, c := range []prometheus.Collector{collector{}, (*httpCollector)(nil), lookupdCollector{}} {
		descs := make(chan *prometheus.Desc, 100)
		c.Describe(descs)
		close(descs)
		for d := range descs {
			name := regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(d.String())[1]
			names[name] = true
			if name == "nsqd_message_e2e_seconds" || name == "nsqd_disk_sync_seconds" {
				for _, suffix := range []string{"_bucket", "_sum", "_count"} {
					names[name+suffix] = true
				}
			}
		}
	}
	return names
}

// TestGrafana_NamesAreTold: what the dashboard, the alert rules and the page
// about metrics name is there, and the page names all there is.
func TestGrafana_NamesAreTold(t *testing.T) {
	told := toldNames(t)
	for _, file := range []string{"../contrib/grafana/nsqd-lite.json", "../contrib/grafana/alerts.yml", "../docs/metrics.md"} {
		text, err := os.ReadFile(filepath.FromSlash(file))
		if err != nil {
			t.Fatal(err)
		}
		named := metricNames.FindAllString(string(text), -1)
		if len(named) < 10 {
			t.Errorf("%s names %d metrics", file, len(named))
		}
		for _, name := range named {
			if !told[name] {
				t.Errorf("%s names %s, which no server says", file, name)
			}
		}
		if !strings.HasSuffix(file, ".md") {
			continue
		}
		for name := range told {
			if !slices.Contains(named, name) && !strings.HasSuffix(name, "_bucket") && !strings.HasSuffix(name, "_sum") && !strings.HasSuffix(name, "_count") {
				t.Errorf("%s leaves out %s", file, name)
			}
		}
	}
}

// TestGrafana_DashboardIsWhole: it is JSON that Grafana takes, and each panel asks something.
func TestGrafana_DashboardIsWhole(t *testing.T) {
	text, err := os.ReadFile(filepath.FromSlash("../contrib/grafana/nsqd-lite.json"))
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Title         string
		SchemaVersion int
		Panels        []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	if board.Title == "" || board.SchemaVersion == 0 || len(board.Panels) < 10 {
		t.Errorf("title %q, schema %d, %d panels", board.Title, board.SchemaVersion, len(board.Panels))
	}
	seen := map[int]bool{}
	for _, p := range board.Panels {
		if seen[p.ID] || p.Title == "" || len(p.Targets) == 0 {
			t.Errorf("panel %d %q: %d targets, or its number is taken", p.ID, p.Title, len(p.Targets))
		}
		seen[p.ID] = true
		for _, target := range p.Targets {
			if strings.Count(target.Expr, "(") != strings.Count(target.Expr, ")") || strings.Count(target.Expr, "{") != strings.Count(target.Expr, "}") {
				t.Errorf("panel %q: unbalanced %s", p.Title, target.Expr)
			}
		}
	}
}
