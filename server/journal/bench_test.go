package journal_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/nsqloop/nsqloop/server/journal"
)

// What one round of a benchmark puts on the disk goes before the next one, so
// that a benchmark may run any number of times.
const benchRound = 100_000 // messages

// closing closes files for a journal that was opened and has to stay as it is.
type closing struct {
	journal.FS
	open []journal.File
}

func (d *closing) Open(name string, create bool) (journal.File, error) {
	f, err := d.FS.Open(name, create)
	if err == nil {
		d.open = append(d.open, f)
	}
	return f, err
}

func (d *closing) close() {
	for _, f := range d.open {
		_ = f.Close() // most are closed
	}
	d.open = d.open[:0]
}

// BenchmarkOpen opens a journal of waiting messages after it was closed and
// after its process was killed.
func BenchmarkOpen(b *testing.B) {
	const n = 1_000_000
	for _, kill := range []bool{false, true} {
		b.Run(fmt.Sprintf("kill=%v", kill), func(b *testing.B) {
			dir := &closing{FS: journal.OSDir(filepath.Join(b.TempDir(), "t"))}
			j := filled(b, journal.Options{FS: dir, NeverSync: true}, n, 0)
			if !kill {
				if err := j.Close(); err != nil {
					b.Fatal(err)
				}
			}
			dir.close()
			b.ResetTimer()
			for range b.N {
				k, _, err := journal.Open(journal.Options{FS: dir, NeverSync: true})
				if err != nil || k.Cursors()[0].Depth() != n {
					b.Fatal(err)
				}
				dir.close()
			}
		})
	}
}

// filled is a journal with a cursor and n messages, due then.
func filled(b testing.TB, o journal.Options, n int, due int64) *journal.Journal {
	j, _, err := journal.Open(o)
	if err != nil {
		b.Fatal(err)
	}
	j.CreateCursor("c", journal.CursorOptions{})
	body := make([]byte, 100)
	for i := range n {
		j.Append(1, due, body)
		if i%1000 < 999 && i < n-1 {
			continue
		}
		if err := j.Commit(); err != nil {
			b.Fatal(err)
		}
		if err := j.WriteEvents(); err != nil {
			b.Fatal(err)
		}
	}
	return j
}

// rounds runs f for as many messages as b wants, at most benchRound at a time
// and each time on a directory that goes afterwards.
func rounds(b *testing.B, f func(dir journal.FS, n int) *journal.Journal) {
	dir := journal.OSDir(filepath.Join(b.TempDir(), "t"))
	for left := b.N; left > 0; left -= benchRound {
		j := f(dir, min(left, benchRound))
		b.StopTimer()
		if err := j.Remove(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkDeferredMemory is what a deferred message holds; per message.
func BenchmarkDeferredMemory(b *testing.B) {
	var held, most uint64
	rounds(b, func(dir journal.FS, n int) *journal.Journal {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		j := filled(b, journal.Options{FS: dir, NeverSync: true}, n, 1<<50)
		runtime.GC()
		runtime.ReadMemStats(&after)
		if j.Cursors()[0].Deferred() != n {
			b.Fatal("not all are deferred")
		}
		if uint64(n) >= most { // few messages show the journal's own memory
			held, most = after.HeapAlloc-before.HeapAlloc, uint64(n)
		}
		return j
	})
	b.ReportMetric(float64(held)/float64(most), "B/msg")
}

// BenchmarkBehind reads what is no longer in memory, with several cursors; per
// message and cursor.
func BenchmarkBehind(b *testing.B) {
	for _, cursors := range []int{1, 4} {
		b.Run(fmt.Sprint(cursors), func(b *testing.B) {
			b.ReportAllocs()
			b.StopTimer()
			rounds(b, func(dir journal.FS, n int) *journal.Journal {
				b.StopTimer()
				j := filled(b, journal.Options{FS: dir, NeverSync: true}, 0, 0)
				for i := range cursors - 1 {
					j.CreateCursor(fmt.Sprint(i), journal.CursorOptions{})
				}
				body := make([]byte, 100)
				for i := range n {
					j.Append(1, 0, body)
					if i%1000 == 999 || i == n-1 {
						if err := j.Commit(); err != nil {
							b.Fatal(err)
						}
					}
				}
				j.Idle()
				b.StartTimer()
				for left := n; left > 0; left -= 50 {
					for _, c := range j.Cursors() {
						takeSome(b, c, min(left, 50))
					}
					if err := j.WriteEvents(); err != nil {
						b.Fatal(err)
					}
				}
				return j
			})
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*cursors), "ns/msg")
		})
	}
}

// takeSome takes and finishes n messages.
func takeSome(b *testing.B, c *journal.Cursor, n int) {
	for range n {
		var d journal.Delivery
		if ok, err := c.Next(1, 100, 1, &d); !ok || err != nil {
			b.Fatal(ok, err)
		}
		if err := c.Finish(d.Seq, 1); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRewrite begins a new cursor file while a million messages are
// deferred. The server does nothing else meanwhile.
func BenchmarkRewrite(b *testing.B) {
	j := filled(b, journal.Options{FS: journal.OSDir(filepath.Join(b.TempDir(), "t")), NeverSync: true}, 1_000_000, 1<<60)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if err := j.Rewrite(); err != nil {
			b.Fatal(err)
		}
	}
}
