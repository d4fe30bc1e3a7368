package admin

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

// packed holds the files of static/ as they are sent, which are less than half
// as large. After a change there, make it anew: go generate ./server/admin.
//
//go:generate go test . -run TestPage_IsPacked -update
//go:embed packed
var packed embed.FS

// file is one file of the page, ready to be sent.
type file struct {
	contentType string
	etag        string
	gzip        []byte
}

// files are the files of the page, by name. They are read when the first one is
// asked for: a server whose page nobody opens does not pay for it.
type files struct {
	load func() map[string]*file
}

// types are the types of the files; what the system's tables say differs from
// one to the next.
var types = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml", ".txt": typeText,
}

func newFiles(base string) *files {
	return &files{load: sync.OnceValue(func() map[string]*file {
		list, err := packed.ReadDir("packed")
		if err != nil {
			panic("the program's own files cannot be read: " + err.Error())
		}
		all := map[string]*file{}
		for _, entry := range list {
			text, err := packed.ReadFile("packed/" + entry.Name())
			if err != nil {
				panic("a file of the program itself cannot be read: " + err.Error())
			}
			name := strings.TrimSuffix(entry.Name(), ".gz")
			if name == "index.html" && base != "/" {
				index := bytes.ReplaceAll(unpack(text), []byte(`<base href="/">`), []byte(`<base href="`+base+`">`))
				text = squeeze(index, gzip.BestCompression)
			}
			sum := sha256.Sum256(text)
			all[name] = &file{types[path.Ext(name)], `"` + hex.EncodeToString(sum[:8]) + `"`, text}
		}
		return all
	})}
}

// unpack is what was compressed into text.
func unpack(text []byte) []byte {
	z, err := gzip.NewReader(bytes.NewReader(text))
	if err == nil {
		text, err = io.ReadAll(z)
	}
	if err != nil {
		panic("a file of the program itself is damaged: " + err.Error())
	}
	return text
}

// serve sends a file, or says that the browser has it.
func (f *files) serve(w http.ResponseWriter, r *http.Request, name string) error {
	it := f.load()[name]
	if it == nil {
		return &apiError{http.StatusNotFound, "NOT_FOUND", "There is no such file."}
	}
	h := w.Header()
	h.Set("ETag", it.etag)
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept-Encoding")
	if r.Header.Get("If-None-Match") == it.etag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	body := it.gzip
	if wantsGzip(r) {
		h.Set("Content-Encoding", "gzip")
	} else {
		body = unpack(body) // few ask so, and seldom: it is not kept
	}
	h.Set("Content-Type", it.contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // a peer that has gone cannot be told so
	return nil
}

// pages are the paths that are the page itself, which reads them.
var pages = []string{
	"/{$}", "/topics", "/topics/{topic}", "/topics/{topic}/{channel}", "/nodes", "/nodes/{node}", "/lookup",
	"/clients", "/live", "/config", "/counter", "/about",
}

// pageRoutes are the page, its files and the routes that feed it.
func (a *Admin) pageRoutes() []route {
	var routes []route
	for _, p := range pages {
		routes = append(routes, route{"GET", p, func(w http.ResponseWriter, r *http.Request) error {
			return a.files.serve(w, r, "index.html")
		}})
	}
	routes = append(routes, route{"GET", "/static/{name...}", func(w http.ResponseWriter, r *http.Request) error {
		return a.files.serve(w, r, r.PathValue("name"))
	}})
	return append(append(append(routes, a.liveRoutes()...), a.lookRoutes()...), a.changeRoutes()...)
}
