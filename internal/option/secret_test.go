package option

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecret: by variable or by file, not by both; what cannot be read is named.
func TestSecret(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	missing := filepath.Join(dir, "missing")
	empty := write("empty", "\n")
	huge := write("huge", strings.Repeat("x", secretMost+1))
	for _, row := range []struct {
		name               string
		env                map[string]string
		value, source, err string
	}{
		{"neither", nil, "", "", ""},
		{"variable", map[string]string{"S": "a\n"}, "a\n", "S", ""},
		{"file", map[string]string{"S_FILE": write("plain", "a b ")}, "a b ", "S_FILE", ""},
		{"newline", map[string]string{"S_FILE": write("newline", "a\n\n")}, "a\n", "S_FILE", ""},
		{"of Windows", map[string]string{"S_FILE": write("windows", "a\r\n")}, "a", "S_FILE", ""},
		{"both", map[string]string{"S": "x-secret", "S_FILE": missing}, "", "", "S and S_FILE are both set"},
		{"missing", map[string]string{"S_FILE": missing}, "", "", "S_FILE: stat " + missing},
		{"a directory", map[string]string{"S_FILE": dir}, "", "", "S_FILE: read " + dir},
		{"empty", map[string]string{"S_FILE": empty}, "", "", "S_FILE: " + empty + " is empty"},
		{"huge", map[string]string{"S_FILE": huge}, "", "", huge + " has 65537 bytes"},
	} {
		t.Run(row.name, func(t *testing.T) {
			value, source, ok, err := Secret(func(name string) (string, bool) { v, ok := row.env[name]; return v, ok }, "S")
			if row.err != "" {
				if err == nil || !strings.Contains(err.Error(), row.err) || strings.Contains(err.Error(), "x-secret") || ok || value != "" {
					t.Errorf("%q %v %v, want %q", value, ok, err, row.err)
				}
				return
			}
			if err != nil || value != row.value || ok != (row.source != "") || ok && source != row.source {
				t.Errorf("%q by %q, %v, %v; want %q by %q", value, source, ok, err, row.value, row.source)
			}
		})
	}
}
