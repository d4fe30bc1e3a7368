package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
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

// TestPackaging_Names: each of NSQ's names that this binary plays is a link in
// packages and the image, and no other.
func TestPackaging_Names(t *testing.T) {
	got := strings.Fields(file(t, "contrib/package/names"))
	want := slices.Clone(utilities)
	for _, r := range roles() {
		want = append(want, r.name)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("links %q, want %q", got, want)
	}
}

// TestPackaging_Image: what the image runs is understood, also when all that is
// typed after its name is one of NSQ's programs.
func TestPackaging_Image(t *testing.T) {
	image := file(t, "Dockerfile")
	if !strings.Contains(image, `HEALTHCHECK --interval=10s --timeout=5s CMD ["/nsqd-lite", "check", "--ready"]`) {
		t.Error("the image has no health check")
	}
	if !strings.Contains(image, "FROM scratch\n") || !strings.Contains(image, "USER 65532:65532\n") {
		t.Error("the image has a system in it, or runs as root")
	}
	if regexp.MustCompile(`(?m)^ENTRYPOINT`).MatchString(image) || !strings.Contains(image, "\nENV PATH=/\n") {
		t.Error("`command: /nsqd ...` or `nsqd ...` is no program of the image's")
	}
	start := regexp.MustCompile(`(?m)^CMD \["/nsqd", "(.*)"\]$`).FindStringSubmatch(image)
	if start == nil {
		t.Fatal("no CMD")
	}
	if _, _, _, err := parseFlags(newFake(nil, "nsqd").process, start[1:]); err != nil {
		t.Error(err)
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
	args := strings.Fields(strings.Replace(start[1], "/etc/nsqd-lite/", "../../contrib/systemd/", 1))
	if _, _, _, err := parseFlags(newFake(nil, "nsqd").process, args); err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		"Type=notify", "WatchdogSec=", "DynamicUser=yes", "ProtectSystem=strict", "NoNewPrivileges=yes",
		// Not NSQ's directory, which systemd would give to another user.
		"StateDirectory=nsqd-lite\n",
		// Without netlink no name of this machine is known to lead here, and others are told 127.0.0.1.
		"RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK\n",
	} {
		if !strings.Contains(unit, "\n"+want) {
			t.Errorf("no %s", want)
		}
	}
	if socket := file(t, "contrib/systemd/nsqd-lite.socket"); !strings.Contains(socket, "\nFileDescriptorName=tcp\n") {
		t.Error("the socket has another name than the program knows")
	}
}

// TestPackaging_Config: what the config file suggests, it may say.
func TestPackaging_Config(t *testing.T) {
	text := file(t, "contrib/systemd/nsqd.toml")
	suggested := regexp.MustCompile(`(?m)^#([a-z_]+ = )`).ReplaceAllString(text, "$1")
	path := filepath.Join(t.TempDir(), "nsqd.toml")
	if err := os.WriteFile(path, []byte(suggested), 0o600); err != nil {
		t.Fatal(err)
	}
	f := newFake(nil, "nsqd", "--config="+path, "--data-path=:memory:", "--check-config")
	if code := run(f.process); code != exitOK || f.err.String() != "" || !strings.Contains(f.out.String(), "nsqd1.example.org") {
		t.Errorf("exit %d, %s%s", code, f.out.String(), f.err.String())
	}
}

// contents are the lines that say what a package holds, as both packagers' files
// have them.
func contents(t *testing.T, name string) []string {
	t.Helper()
	var lines []string
	for _, line := range regexp.MustCompile(`(?m)^ *- \{ src: .*\}$`).FindAllString(file(t, name), -1) {
		line = strings.NewReplacer("${DIST}", "extra", ", expand: true", "").Replace(strings.TrimSpace(line))
		if !strings.Contains(line, "dst: /usr/bin/nsqd-lite,") { // goreleaser adds it by itself
			lines = append(lines, line)
		}
	}
	return lines
}

// TestPackaging_Sources: what packages are made of exists, or is made, and is the
// same whoever makes them.
func TestPackaging_Sources(t *testing.T) {
	nfpm, goreleaser := contents(t, "nfpm.yaml"), contents(t, ".goreleaser.yaml")
	if len(nfpm) == 0 || !slices.Equal(nfpm, goreleaser) {
		t.Errorf("packages differ:\n%s\n\n%s", strings.Join(nfpm, "\n"), strings.Join(goreleaser, "\n"))
	}
	for _, line := range nfpm {
		src := strings.Trim(regexp.MustCompile(`src: ([^\s,]+)`).FindStringSubmatch(line)[1], `"`)
		if strings.HasPrefix(src, "extra/") {
			continue // made by contrib/package/files; contrib/package/check looks for it
		}
		if _, err := os.Stat(filepath.Join("../..", src)); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	for _, name := range []string{"after-install", "before-remove", "after-remove"} {
		for _, packager := range []string{"nfpm.yaml", ".goreleaser.yaml"} {
			if !strings.Contains(file(t, packager), ": contrib/package/"+name+"\n") {
				t.Errorf("%s does not run %s", packager, name)
			}
		}
	}
}
