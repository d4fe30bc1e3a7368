package server

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"
)

const pprofPath = "/debug/pprof/"

// debugRoutes are the routes that show the process from inside. nsqd has
// neither mutex nor allocs nor trace, and neither have we.
func (h *httpServer) debugRoutes() []*route {
	routes := []*route{
		{method: "GET", path: pprofPath + "{$}", help: "profiles of the process", needs: accessDebug, run: h.debug(listProfiles)},
		{method: "GET", path: pprofPath + "cmdline", help: "its command line", needs: accessDebug, run: h.debug(commandLine)},
		{method: "GET", path: pprofPath + "profile", help: "CPU profile: ?seconds=", needs: accessDebug, run: h.debug(cpuProfile)},
		{method: "GET", path: pprofPath + "symbol", help: "names of addresses", needs: accessDebug, run: h.debug(symbols)},
		{method: "POST", path: pprofPath + "symbol", help: "names of addresses", needs: accessDebug, run: h.debug(symbols)},
		{method: "PUT", path: "/debug/setblockrate", help: "sample blocking: ?rate=<ns>", needs: accessDebug, run: h.debug(setBlockRate)},
		{method: "POST", path: "/debug/freememory", help: "give memory back to the system", needs: accessDebug, run: h.debug(freeMemory)},
	}
	for _, name := range profileNames {
		routes = append(routes, &route{method: "GET", path: pprofPath + name, help: name + " profile",
			needs: accessDebug, run: h.debug(func(w http.ResponseWriter, r *http.Request) { writeProfile(w, r, name) })})
	}
	return routes
}

// debug lets only those in who may see the process's memory.
func (h *httpServer) debug(run http.HandlerFunc) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := h.guard.checkDebug(r, h.remote); err != nil {
			return err
		}
		// A profile takes as long as it is asked to; past the deadline for
		// reading, net/http would take the peer for gone and cut it short.
		if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		run(w, r)
		return nil
	}
}

// setBlockRate and freeMemory answer 200. nsqd does what is asked, too, but
// then answers 500.
func setBlockRate(w http.ResponseWriter, r *http.Request) {
	rate, err := strconv.Atoi(r.URL.Query().Get("rate"))
	if err != nil {
		reply(w, http.StatusBadRequest, typeText, fmt.Appendf(nil, "invalid block rate : %v", err))
		return
	}
	runtime.SetBlockProfileRate(rate)
	w.WriteHeader(http.StatusOK)
}

func freeMemory(w http.ResponseWriter, _ *http.Request) {
	debug.FreeOSMemory()
	w.WriteHeader(http.StatusOK)
}
