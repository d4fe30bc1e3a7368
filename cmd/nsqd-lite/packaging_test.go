package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// file is a file of the repository.
func file(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPackaging_Image: each of NSQ's names that this binary plays is a link in
// the image, and what the image runs is understood.
func TestPackaging_Image(t *testing.T) {
	image := file(t, "Dockerfile")
	names := append([]string{"nsqd", "nsqlookupd", "nsqadmin"}, utilities...)
	links := regexp.MustCompile(`for name in ([a-z_ ]+); do`).FindStringSubmatch(image)
	if links == nil {
		t.Fatal("the image has no links")
	}
	for _, name := range names {
		if !strings.Contains(" "+links[1]+" ", " "+name+" ") {
			t.Errorf("the image has no link %s", name)
		}
	}
	for _, name := range strings.Fields(links[1]) {
		known := isUtility(name)
		for _, r := range roles() {
			known = known || r.name == name
		}
		if !known {
			t.Errorf("the image has a link %s, which is no program", name)
		}
	}
	if !strings.Contains(image, `HEALTHCHECK --interval=10s --timeout=5s CMD ["/nsqd-lite", "check", "--ready"]`) {
		t.Error("the image has no health check")
	}
	if !strings.Contains(image, "FROM scratch\n") || !strings.Contains(image, "USER 65532:65532\n") {
		t.Error("the image has a system in it, or runs as root")
	}
	if code, _, bad := try(t, "check", "--ready", "--timeout=1s", "--nsqd-http-address=127.0.0.1:1"); code != checkCritical {
		t.Errorf("the health check of a dead server: %d %s", code, bad)
	}
}

// TestPackaging_Unit: the flags in the unit exist, and it wants what the
// program gives.
func TestPackaging_Unit(t *testing.T) {
	unit := file(t, "contrib/systemd/nsqd-lite.service")
	start := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/nsqd-lite nsqd (.*)$`).FindStringSubmatch(unit)
	if start == nil {
		t.Fatal("no ExecStart")
	}
	if _, _, _, err := parseFlags(newFake(nil, "nsqd").process, strings.Fields(start[1])); err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		"Type=notify", "WatchdogSec=", "DynamicUser=yes", "StateDirectory=nsqd", "ProtectSystem=strict", "NoNewPrivileges=yes",
	} {
		if !strings.Contains(unit, "\n"+want) {
			t.Errorf("no %s", want)
		}
	}
	if socket := file(t, "contrib/systemd/nsqd-lite.socket"); !strings.Contains(socket, "\nFileDescriptorName=tcp\n") {
		t.Error("the socket has another name than the program knows")
	}
}

// TestPackaging_Sources: what packages are made of exists, or is made.
func TestPackaging_Sources(t *testing.T) {
	for _, name := range []string{"nfpm.yaml", ".goreleaser.yaml"} {
		for _, m := range regexp.MustCompile(`src: ([^\s,]+)`).FindAllStringSubmatch(file(t, name), -1) {
			if strings.HasPrefix(m[1], "${DIST}/") || strings.HasPrefix(m[1], "dist/") {
				continue // made by contrib/package/files, which .ci/run runs
			}
			if _, err := os.Stat(filepath.Join("../..", m[1])); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
