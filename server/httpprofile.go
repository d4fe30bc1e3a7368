package server

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"
)

// What follows speaks as net/http/pprof does to go tool pprof. That package is
// not used because it brings a parser of profiles, for differences between two,
// which makes the program larger by more than most of its rooms.

// profileNames are the profiles that are served, which are nsqd's.
var profileNames = []string{"heap", "goroutine", "block", "threadcreate"}

// cpuProfileMost is how long a CPU profile may take: within the deadline for
// writing a reply.
const cpuProfileMost = 80

// listProfiles shows what there is, and how much of it.
func listProfiles(w http.ResponseWriter, _ *http.Request) {
	var b strings.Builder
	b.WriteString("<!doctype html><html lang=\"en\"><title>profiles</title><p>Profiles, for go tool pprof. As text:</p><ul>\n")
	for _, name := range profileNames {
		fmt.Fprintf(&b, "<li><a href=\"%s?debug=1\">%s</a>: %d</li>\n", name, name, pprof.Lookup(name).Count())
	}
	b.WriteString("</ul><p><a href=\"profile?seconds=10\">profile of the CPU</a>, in ten seconds</p></html>\n")
	reply(w, http.StatusOK, "text/html; charset=utf-8", []byte(b.String()))
}

// commandLine shows the words of the command line, separated by zero bytes.
func commandLine(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, typeText, []byte(strings.Join(os.Args, "\x00")))
}

// writeProfile shows a profile, as text when ?debug= is more than 0.
func writeProfile(w http.ResponseWriter, r *http.Request, name string) {
	if r.FormValue("seconds") != "" {
		reply(w, http.StatusBadRequest, typeText, []byte("differences between two profiles are made by go tool pprof -base\n"))
		return
	}
	p := pprof.Lookup(name)
	debug, _ := strconv.Atoi(r.FormValue("debug")) // what is no number is none
	if gc, _ := strconv.Atoi(r.FormValue("gc")); name == "heap" && gc > 0 {
		runtime.GC()
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if debug > 0 {
		w.Header().Set("Content-Type", typeText)
	} else {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	}
	_ = p.WriteTo(w, debug) // a peer that has gone cannot be told so
}

// cpuProfile measures for ?seconds=, 30 unless it says something else.
func cpuProfile(w http.ResponseWriter, r *http.Request) {
	seconds, err := strconv.Atoi(r.FormValue("seconds"))
	if err != nil || seconds <= 0 {
		seconds = 30
	}
	if seconds > cpuProfileMost {
		reply(w, http.StatusBadRequest, typeText, fmt.Appendf(nil, "a profile may take %d seconds\n", cpuProfileMost))
		return
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="profile"`)
	if err := pprof.StartCPUProfile(w); err != nil {
		w.Header().Del("Content-Disposition")
		reply(w, http.StatusInternalServerError, typeText, fmt.Appendf(nil, "no CPU profile: %v\n", err))
		return
	}
	defer pprof.StopCPUProfile()
	select {
	case <-time.After(time.Duration(seconds) * time.Second):
	case <-r.Context().Done():
	}
}

// symbolsMost is how many bytes of addresses are read.
const symbolsMost = 1 << 20

// symbols names the functions at addresses, "0x1+0x2" in the body or the query.
func symbols(w http.ResponseWriter, r *http.Request) {
	text := r.URL.RawQuery
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(io.LimitReader(r.Body, symbolsMost))
		if err != nil {
			reply(w, http.StatusBadRequest, typeText, []byte(err.Error()))
			return
		}
		text = string(body)
	}
	var b strings.Builder
	b.WriteString("num_symbols: 1\n") // go tool pprof wants to see that there are some
	for _, word := range strings.Split(text, "+") {
		pc, err := strconv.ParseUint(strings.TrimSpace(word), 0, 64)
		if err != nil || pc == 0 {
			continue
		}
		if f := runtime.FuncForPC(uintptr(pc)); f != nil {
			fmt.Fprintf(&b, "%#x %s\n", pc, f.Name())
		}
	}
	reply(w, http.StatusOK, typeText, []byte(b.String()))
}
