package admin

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// graphiteRoutes are the routes of nsqadmin around a Graphite server.
func (a *Admin) graphiteRoutes() []route {
	return []route{
		{"GET", "/render", a.render},
		{"GET", "/api/graphite", answers(a.rate)},
	}
}

// renderMost is how many bytes of a picture are passed on.
const renderMost = 16 << 20

// render passes a request on to Graphite.
func (a *Admin) render(w http.ResponseWriter, r *http.Request) error {
	if !a.o.ProxyGraphite {
		return &apiError{http.StatusNotFound, "NOT_FOUND", "Requests are not passed on to Graphite; --proxy-graphite does that."}
	}
	res, err := a.up.do(r.Context(), a.up.http, http.MethodGet, a.o.GraphiteURL, "/render", r.URL.Query(), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, renderMost))
	if err != nil {
		return err
	}
	reply(w, r, http.StatusOK, res.Header.Get("Content-Type"), body)
	return nil
}

// rate asks Graphite for the newest value of a target, per second.
func (a *Admin) rate(r *http.Request) (any, error) {
	query := r.URL.Query()
	if query.Get("metric") != "rate" {
		return nil, &apiError{http.StatusNotFound, "INVALID_ARG_METRIC", "The metric is rate."}
	}
	if a.o.GraphiteURL == "" {
		return nil, &apiError{http.StatusInternalServerError, "INTERNAL_ERROR", "There is no Graphite to ask; --graphite-url names one."}
	}
	seconds := max(1, int(a.o.StatsdInterval.Seconds()))
	var series []struct {
		Datapoints [][2]*float64 `json:"datapoints"`
	}
	err := a.up.get(r.Context(), a.o.GraphiteURL, "/render", url.Values{
		"target": {query.Get("target")}, "format": {"json"},
		"from": {"-" + strconv.Itoa(2*seconds) + "sec"}, "until": {"-" + strconv.Itoa(seconds) + "sec"},
	}, &series)
	if err != nil {
		return nil, err
	}
	text := "N/A"
	if len(series) > 0 && len(series[0].Datapoints) > 0 && series[0].Datapoints[0][0] != nil {
		text = strconv.FormatFloat(*series[0].Datapoints[0][0]/float64(seconds), 'f', 2, 64)
	}
	return struct {
		Rate string `json:"rate"`
	}{text}, nil
}
