package server

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// statsRoutes are the routes that say how the server is.
func (h *httpServer) statsRoutes() []*route {
	return []*route{
		{method: "GET", path: "/ping", polled: true, help: "OK, or why the journal cannot be written", needs: accessNone, run: h.ping},
		{method: "GET", path: "/info", polled: true, help: "version, addresses and limits", needs: accessStats, run: h.info},
		{method: "GET", path: "/stats", polled: true, help: "topics, channels and connections: ?format=json&topic=&channel=&include_clients=&include_mem=", heavy: true, needs: accessStats, run: h.stats},
	}
}

// ping answers OK as long as the last write to a journal succeeded. Clients
// compare the body, so it has no newline.
func (h *httpServer) ping(w http.ResponseWriter, r *http.Request) error {
	var health error
	if stopped := h.s.call(func() { health = h.s.health() }); stopped != nil {
		health = stopped
	}
	if health != nil {
		reply(w, http.StatusInternalServerError, typeText, []byte("NOK - "+health.Error()))
		return nil
	}
	reply(w, http.StatusOK, typeText, []byte(wire.OK))
	return nil
}

// infoReply is the body of /info, in nsqd's order; what nsqd does not have
// comes last. Durations are nanoseconds.
type infoReply struct {
	Version                string `json:"version"`
	BroadcastAddress       string `json:"broadcast_address"`
	Hostname               string `json:"hostname"`
	HTTPPort               int    `json:"http_port"`
	TCPPort                int    `json:"tcp_port"`
	StartTime              int64  `json:"start_time"`
	MaxHeartbeatInterval   int64  `json:"max_heartbeat_interval"`
	MaxOutputBufferSize    int    `json:"max_output_buffer_size"`
	MaxOutputBufferTimeout int64  `json:"max_output_buffer_timeout"`
	MaxDeflateLevel        int    `json:"max_deflate_level"`
	TopologyZone           string `json:"topology_zone"`
	TopologyRegion         string `json:"topology_region"`
	LiteVersion            string `json:"lite_version"`
	Sync                   string `json:"sync"`        // the sync mode in force
	SyncWindow             int64  `json:"sync_window"` // what a power loss can take at most, -1 for no bound
}

// info answers with what a peer needs to know of this server.
func (h *httpServer) info(w http.ResponseWriter, r *http.Request) error {
	o := &h.s.o
	var start int64
	address := make(chan string, 1)
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	stopped := h.s.call(func() {
		start = h.s.start
		ps := &h.s.peers
		ps.whenKnown(func() {
			addr := ps.told
			if addr == "" {
				addr, _ = ps.address(local)
			}
			address <- addr
		})
	})
	if stopped != nil {
		return errExiting
	}
	var broadcast string
	select {
	case broadcast = <-address:
	case <-r.Context().Done():
		return errExiting
	}
	return replyJSON(w, infoReply{
		Version:                Version,
		BroadcastAddress:       broadcast,
		Hostname:               h.guard.hostname,
		HTTPPort:               portOf(h.addr()),
		TCPPort:                portOf(h.s.TCPAddr()),
		StartTime:              start,
		MaxHeartbeatInterval:   int64(o.MaxHeartbeatInterval),
		MaxOutputBufferSize:    o.MaxOutputBufferSize,
		MaxOutputBufferTimeout: int64(o.MaxOutputBufferTimeout),
		MaxDeflateLevel:        o.MaxDeflateLevel,
		TopologyZone:           o.TopologyZone,
		TopologyRegion:         o.TopologyRegion,
		LiteVersion:            o.LiteVersion,
		Sync:                   syncMode(o),
		SyncWindow:             syncWindow(o),
	})
}

// syncMode is the sync mode in force, "memory" when there is no disk to sync.
func syncMode(o *Options) string {
	if o.DataPath == "" {
		return "memory"
	}
	return string(o.Sync)
}

// syncWindow is the age in nanoseconds of the oldest acknowledged message that
// a power loss can take, -1 where nothing bounds it.
func syncWindow(o *Options) int64 {
	switch syncMode(o) {
	case string(SyncAlways):
		return 0
	case string(SyncInterval):
		return int64(o.SyncTimeout)
	}
	return -1
}

// portOf is the port of a listening address: 0 when there is no listener, -1
// for a unix socket.
func portOf(addr net.Addr) int {
	switch a := addr.(type) {
	case nil:
		return 0
	case *net.TCPAddr:
		return a.Port
	}
	return -1
}

// stats answers with the statistics, as JSON for format=json and as text for
// all else, "JSON" included.
func (h *httpServer) stats(w http.ResponseWriter, r *http.Request) error {
	query, err := parseQuery(r)
	if err != nil {
		return err
	}
	st, err := h.s.takeStats(StatsOptions{
		Topic:          query.Get("topic"),
		Channel:        query.Get("channel"),
		ExcludeClients: isOff(query, "include_clients"),
		ExcludeMemory:  isOff(query, "include_mem"),
	})
	if err != nil {
		return errExiting
	}
	if query.Get("format") == "json" {
		return replyJSON(w, &st)
	}
	replyText(w, st.text())
	return nil
}

// isOff says whether a parameter that is on by default is switched off.
func isOff(query url.Values, name string) bool {
	value := query.Get(name)
	return value == "false" || value == "0"
}

// index answers GET /. Its status is nsqd's 404 for programs, which may test
// for it; people with a browser get the list as a page.
func (h *httpServer) index(w http.ResponseWriter, r *http.Request) error {
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		var b strings.Builder
		fmt.Fprintf(&b, "%s\n\n", h.title)
		for _, rt := range h.routes {
			fmt.Fprintf(&b, "%-5s %-22s %s\n", rt.method, rt.path, rt.help)
		}
		replyText(w, b.String())
		return nil
	}
	type endpoint struct {
		Method string `json:"method"`
		Path   string `json:"path"`
		Help   string `json:"help"`
	}
	list := make([]endpoint, len(h.routes))
	for i, rt := range h.routes {
		list[i] = endpoint{rt.method, rt.path, rt.help}
	}
	body, err := json.Marshal(struct {
		Message   string     `json:"message"`
		Detail    string     `json:"detail"`
		Endpoints []endpoint `json:"endpoints"`
	}{"NOT_FOUND", "This is the HTTP API of nsqd-lite; here is what it has.", list})
	if err != nil {
		return err
	}
	nsqHeader(w)
	reply(w, http.StatusNotFound, typeJSON, body)
	return nil
}
