package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// beTheAttacker in the environment makes the test binary throw a bomb. Whoever
// is measured meanwhile must not wait for the attacker's goroutines: so they
// have a process of their own.
const beTheAttacker = "BE_THE_ATTACKER"

// attack throws the bomb of that name at a server with a role, for its time.
// What comes out of over is how that ended.
func attack(t *testing.T, role, name, tcp, http string) (over <-chan error) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Args = []string{"attacker", role, name, tcp, http, bombTime.String()}
	cmd.Env = []string{beTheAttacker + "=1"}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return ended
}

// throwBomb is the program of the attacker.
func throwBomb(args []string) {
	role, name := args[1], args[2]
	all := bombs
	if role == "nsqlookupd" {
		all = lookupdBombs
	}
	long, err := time.ParseDuration(args[5])
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	w := &bombing{ctx: ctx, tcp: args[3], http: args[4]}
	for _, b := range all {
		if b.name != name {
			continue
		}
		var workers sync.WaitGroup
		for id := range b.workers {
			workers.Go(func() { b.throw(w, id) })
		}
		workers.Wait()
		return
	}
	panic("no bomb is called " + name)
}

// bombing is a server under attack. Errors of connections are what the attacker
// wants: he tries again.
type bombing struct {
	ctx       context.Context
	tcp, http string
}

// attacker dials from an address that is not the canary's.
func attacker(end time.Time) *net.Dialer {
	return &net.Dialer{Deadline: end, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
}
