package admin

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

//go:embed static
var embedded embed.FS

// file is one file of the page, ready to be sent.
type file struct {
	contentType string
	etag        string
	plain, gzip []byte
}

// files are the files of the page, by name. They are compressed when the first
// one is asked for: a server whose page nobody opens does not pay for it.
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
		all := map[string]*file{}
		err := fs.WalkDir(embedded, "static", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := embedded.ReadFile(name)
			if err != nil {
				return err
			}
			name = strings.TrimPrefix(name, "static/")
			if name == "index.html" {
				text = bytes.ReplaceAll(text, []byte(`<base href="/">`), []byte(`<base href="`+base+`">`))
			}
			text = lean(name, text)
			sum := sha256.Sum256(text)
			kind := types[path.Ext(name)]
			if kind == "" {
				kind = mime.TypeByExtension(path.Ext(name))
			}
			all[name] = &file{kind, `"` + hex.EncodeToString(sum[:8]) + `"`, text, squeeze(text, gzip.BestCompression)}
			return nil
		})
		if err != nil {
			panic("a file of the program itself cannot be read: " + err.Error())
		}
		return all
	})}
}

// lean leaves out what only those need who read a file of ours in the
// repository: indentation and lines that are comments. The files are written so
// that no line of a string could be taken for one.
func lean(name string, text []byte) []byte {
	if ext := path.Ext(name); ext != ".js" && ext != ".css" || strings.Contains(name, ".min.") {
		return text
	}
	out := make([]byte, 0, len(text))
	for line := range bytes.Lines(text) {
		line = bytes.TrimLeft(line, " ")
		if len(line) > 1 && !bytes.HasPrefix(line, []byte("//")) && !(bytes.HasPrefix(line, []byte("/*")) && bytes.HasSuffix(line, []byte("*/\n"))) {
			out = append(out, line...)
		}
	}
	return out
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
	body := it.plain
	if wantsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		body = it.gzip
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
