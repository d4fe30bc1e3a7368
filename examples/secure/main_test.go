package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/nsqloop/nsqloop/examples/internal/exampletest"
	"github.com/nsqloop/nsqloop/internal/testcert"
	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

func TestMain(m *testing.M) { exampletest.Main(m) }

func TestSecure_TLSWithCertificateAndAuth(t *testing.T) {
	authority := testcert.New(t, "authority")
	served, servedKey, ca := authority.Files(authority.Issue("nsqd", "127.0.0.1"))
	mine, mineKey, _ := authority.Files(authority.Issue("client"))
	write := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	s := nsqtest.Start(t, func(o *server.Options) {
		o.TLSCert, o.TLSKey, o.TLSRootCAFile = served, servedKey, ca
		o.TLSClientAuthPolicy, o.TLSRequired = "require-verify", server.TLSRequiredAll
		o.AuthStatic = write("auth.json", `[{"secret":"s3cret","identity":"bond","authorizations":[{"topic":".*","channels":[".*"],"permissions":["publish","subscribe"]}]}]`)
	})
	secret := write("secret", "s3cret\n")
	args := []string{"-nsqd", s.TCPAddr(), "-ca", ca, "-cert", mine, "-key", mineKey, "-secret-file"}
	p := exampletest.Start(t, func(ctx context.Context, out *exampletest.Running) error { return run(ctx, append(args, secret), out) })
	p.Wait(`ready: TLS true, snappy true, we are "bond"`, "received for your eyes only")
	p.End()
	p = exampletest.Start(t, func(ctx context.Context, out *exampletest.Running) error {
		return run(ctx, append(args, write("wrong", "guess")), out)
	})
	p.Wait("E_AUTH_FAILED")
	p.End()
}
