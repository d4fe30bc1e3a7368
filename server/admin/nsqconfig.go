package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"

	"github.com/nsqloop/nsqloop/server"
)

const configPath = "/config/{opt}"

// configRoutes are the routes of nsqadmin that show and change its options.
func (a *Admin) configRoutes() []route {
	return []route{
		{"GET", configPath, a.configGet},
		{"PUT", configPath, a.configPut},
	}
}

// allowConfig says whether a request comes from where options may be changed.
// What is not host:port is a unix socket.
func (a *Admin) allowConfig(r *http.Request) error {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return nil
	}
	addr, err := netip.ParseAddr(host)
	if addr = addr.Unmap().WithZone(""); err != nil || !a.o.configFrom.Masked().Contains(addr) && !(addr == netip.IPv6Loopback() && a.o.configFrom.Contains(netip.AddrFrom4([4]byte{127, 0, 0, 1}))) {
		return &apiError{http.StatusForbidden, "FORBIDDEN", "Options are shown to " + a.o.AllowConfigFromCIDR + " alone; --allow-config-from-cidr changes that."}
	}
	return nil
}

func (a *Admin) configGet(w http.ResponseWriter, r *http.Request) error {
	if err := a.allowConfig(r); err != nil {
		return err
	}
	return a.showConfig(w, r)
}

// showConfig answers with an option's value: strings as they are, all else as
// JSON.
func (a *Admin) showConfig(w http.ResponseWriter, r *http.Request) error {
	var value any
	switch r.PathValue("opt") {
	case "nsqlookupd_http_addresses":
		addrs := []string{}
		for _, base := range *a.cluster.lookupds.Load() {
			addrs = append(addrs, hostOf(base))
		}
		value = addrs
	case "nsqd_http_addresses":
		value = append([]string{}, a.o.NSQDHTTPAddresses...)
	case "http_address":
		value = a.o.HTTPAddress
	case "base_path":
		value = a.o.BasePath
	case "graphite_url":
		value = a.o.GraphiteURL
	case "admin_users":
		value = append([]string{}, a.o.AdminUsers...)
	case "acl_http_header":
		value = a.o.ACLHTTPHeader
	case "log_level":
		if a.o.LogLevel != nil {
			value = server.LogLevelNumber(a.o.LogLevel.Level())
		}
	}
	if value == nil {
		return &apiError{http.StatusBadRequest, "INVALID_OPTION", "There is no such option here; nsqlookupd_http_addresses and log_level can be changed."}
	}
	if text, ok := value.(string); ok {
		reply(w, r, http.StatusOK, typeText, []byte(text))
		return nil
	}
	return replyJSON(w, r, value)
}

// configPut changes the nsqlookupds or the log level.
func (a *Admin) configPut(w http.ResponseWriter, r *http.Request) error {
	if err := a.allowConfig(r); err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, bodyMost+1))
	if err != nil || len(body) == 0 || len(body) > bodyMost {
		return &apiError{http.StatusRequestEntityTooLarge, "INVALID_VALUE", "The new value is the request's body, and it was empty or too long."}
	}
	switch opt := r.PathValue("opt"); {
	case opt == "nsqlookupd_http_addresses":
		err = a.changeLookupds(body)
	case opt == "log_level" && a.o.LogLevel != nil:
		level, ok := server.ParseLogLevel(string(body))
		if !ok {
			return &apiError{http.StatusBadRequest, "INVALID_VALUE", "The levels are debug, info, warn, error and fatal."}
		}
		a.o.LogLevel.Set(level)
	default:
		err = &apiError{http.StatusBadRequest, "INVALID_OPTION", "Only nsqlookupd_http_addresses and log_level can be changed while this runs."}
	}
	if err != nil {
		return err
	}
	a.log.Info("ADMIN: option changed", "option", r.PathValue("opt"), "user", a.user(r), "remote", r.RemoteAddr)
	a.hurry()
	return a.showConfig(w, r)
}

// changeLookupds makes a JSON list the nsqlookupds that are asked.
func (a *Admin) changeLookupds(body []byte) error {
	var addrs []string
	err := json.Unmarshal(body, &addrs)
	for _, addr := range addrs {
		if _, bad := baseOf(addr); err == nil {
			err = bad
		}
	}
	if err == nil && len(addrs) == 0 && len(a.o.NSQDHTTPAddresses) == 0 {
		err = fmt.Errorf("nobody would be left to ask")
	}
	if err != nil {
		return &apiError{http.StatusBadRequest, "INVALID_VALUE", fmt.Sprintf(`The value is a JSON list of addresses, as in ["127.0.0.1:4161"]: %v.`, err)}
	}
	a.cluster.setLookupds(addrs)
	return nil
}
