package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// staticTTL is how long the grants of an entry without a ttl last, in seconds.
const staticTTL = 60

// staticAuth is the file of Options.AuthStatic.
type staticAuth struct {
	path    string
	strict  bool
	stamp   fileStamp
	secrets map[[sha256.Size]byte]*grants // by the secret's hash, so that finding one tells nothing about the others
}

// fileStamp tells one state of a file from another.
type fileStamp struct {
	modified time.Time
	size     int64
}

// staticFile is what was read of the file.
type staticFile struct {
	stamp   fileStamp
	secrets map[[sha256.Size]byte]*grants // nil: as before
}

// ask looks a secret up, in the file as it is now.
func (a *staticAuth) ask(s *Server, secret string, done func(*grants, error)) {
	known := a.stamp
	s.l.Go(func() (then func()) {
		f, err := readStatic(a.path, known, a.strict)
		return func() {
			if err != nil {
				s.log.Error("file of secrets cannot be read: the last state counts", "err", err)
			} else {
				a.adopt(f)
			}
			if g := a.secrets[sha256.Sum256([]byte(secret))]; g != nil {
				done(g, nil)
				return
			}
			done(nil, fmt.Errorf("file of secrets: %w", errDenied))
		}
	})
}

// adopt takes over what was read.
func (a *staticAuth) adopt(f staticFile) {
	if f.secrets != nil {
		a.stamp, a.secrets = f.stamp, f.secrets
	}
}

// readStatic reads a file of secrets, unless it is as it was known.
func readStatic(path string, known fileStamp, strict bool) (f staticFile, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return f, fmt.Errorf("read secrets: %w", err)
	}
	f.stamp = fileStamp{info.ModTime(), info.Size()}
	if f.stamp == known {
		return f, nil
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return f, fmt.Errorf("read secrets: %w", err)
	}
	if f.secrets, err = parseStatic(body, strict); err != nil {
		return f, fmt.Errorf("read secrets: %s: %w", path, err)
	}
	return f, nil
}

// parseStatic reads a JSON list of replies, each with its secret. Errors do not
// name secrets.
func parseStatic(body []byte, strict bool) (map[[sha256.Size]byte]*grants, error) {
	var list []struct {
		Secret string `json:"secret"`
		authReply
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields() // a misspelt permission must not be a missing one
	if err := d.Decode(&list); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	secrets := map[[sha256.Size]byte]*grants{}
	for i := range list {
		e := &list[i]
		if e.Secret == "" {
			return nil, fmt.Errorf("entry %d has no secret", i)
		}
		if e.TTL == 0 {
			e.TTL = staticTTL
		}
		g, err := e.grants(strict)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
		key := sha256.Sum256([]byte(e.Secret))
		if secrets[key] != nil {
			return nil, fmt.Errorf("entry %d has the secret of another", i)
		}
		secrets[key] = g
	}
	return secrets, nil
}
