package server

import (
	"bytes"
	"compress/gzip"
	"log/slog"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

// metricsType is Prometheus' text format, which every version of it reads.
const metricsType = "text/plain; version=0.0.4; charset=utf-8"

// metricsHandler shows what registry gathers. promhttp's handler would do, and
// more: its further formats make the program larger by a hundred kilobytes.
func metricsHandler(registry *prometheus.Registry, log *slog.Logger) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		families, err := registry.Gather()
		if err != nil {
			log.Warn("HTTP: metrics cannot be gathered", "err", err)
			reply(w, http.StatusInternalServerError, typeText, []byte(err.Error()))
			return
		}
		var b bytes.Buffer
		for _, family := range families {
			if _, err := expfmt.MetricFamilyToText(&b, family); err != nil {
				reply(w, http.StatusInternalServerError, typeText, []byte(err.Error()))
				return
			}
		}
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			w.Header().Set("Content-Encoding", "gzip")
			b = squeezed(b.Bytes())
		}
		reply(w, http.StatusOK, metricsType, b.Bytes())
	}
}

// squeezed is p in gzip's format.
func squeezed(p []byte) (b bytes.Buffer) {
	z := gzip.NewWriter(&b)
	_, _ = z.Write(p) // a bytes.Buffer takes everything
	_ = z.Close()
	return b
}
