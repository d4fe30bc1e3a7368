package tofile

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// Formats as nsq_to_file has them by default.
const (
	standardName = "<TOPIC>.<HOST><REV>.<DATETIME>.log"
	standardTime = "%Y-%m-%d_%H"
)

var noon = time.Date(2026, time.March, 4, 15, 6, 7, 0, time.FixedZone("CET", 3600))

func TestStrftime_Escapes(t *testing.T) {
	for format, want := range map[string]string{
		standardTime:           "2026-03-04_15",
		"%B %b %m %A %a %d":    "March Mar 03 Wednesday Wed 04",
		"%H %I %M %S %p %Y %y": "15 03 06 07 PM 2026 26",
		"%Z %z %%":             "CET +0100 %",
		"%Q%j 100%":            "%Q%j 100%",
		"Monday":               "Monday",
	} {
		if got := strftime(format, noon); got != want {
			t.Errorf("%q: %q, want %q", format, got, want)
		}
	}
}

func TestNaming_Names(t *testing.T) {
	for _, row := range []struct {
		name string
		set  func(*Options)
		want string // at noon, with revision 3
	}{
		{"standard", func(*Options) {}, "t.box.2026-03-04_15.log"},
		{"gzip", func(o *Options) { o.Gzip = true }, "t.box-000003.2026-03-04_15.log.gz"},
		{"gzip named", func(o *Options) { o.Gzip, o.Format = true, "<TOPIC><REV>.gz" }, "t-000003.gz"},
		{"size", func(o *Options) { o.RotateSize = 1 }, "t.box-000003.2026-03-04_15.log"},
		{"interval", func(o *Options) { o.RotateInterval = 1 }, "t.box-000003.2026-03-04_15.log"},
		{"work dir", func(o *Options) { o.WorkDir = "w" }, "t.box-000003.2026-03-04_15.log"},
		{"host", func(o *Options) { o.HostIdentifier = "<SHORT_HOST>-<HOSTNAME>-x" }, "t.box-box.example-x.2026-03-04_15.log"},
		{"directories", func(o *Options) { o.Format = "<TOPIC>/<DATETIME>/<PID>" }, "t/2026-03-04_15/42"},
	} {
		o := &Options{Dir: "d", WorkDir: "d", Format: standardName, DateTime: standardTime, Host: "box.example", PID: 42}
		row.set(o)
		n, err := newNaming(o, "t")
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		if got := revised(n.at(noon), 3); got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
	}
}

func TestNaming_Refused(t *testing.T) {
	for _, set := range []func(*Options){
		func(o *Options) { o.Gzip = true },
		func(o *Options) { o.RotateSize = 1 },
		func(o *Options) { o.RotateInterval = 1 },
		func(o *Options) { o.WorkDir = "w" },
	} {
		o := &Options{Dir: "d", WorkDir: "d", Format: "<TOPIC>.log"}
		set(o)
		if _, err := newNaming(o, "t"); !errors.Is(err, errNoRevision) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := newNaming(&Options{Format: "../<TOPIC>"}, "t"); err == nil || !strings.Contains(err.Error(), "leads out of the output directory") {
		t.Errorf("error %v", err)
	}
}
