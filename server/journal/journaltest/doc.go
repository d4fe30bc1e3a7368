// Package journaltest has a disk for tests: in memory, deterministic, and as
// unkind as real ones are.
//
//	disk := journaltest.New(rng)
//	j, _, err := journal.Open(journal.Options{FS: disk.Dir("orders")})
//	...
//	disk.CrashAt(disk.Ops() + 7) // the seventh operation from here is the last
//	...                          // it fails, and so does everything after it
//	disk.PowerCut(rng)           // what was not synced is kept, torn or lost
//	j, _, err = journal.Open(journal.Options{FS: disk.Dir("orders")})
//
// A [Disk] has three kinds of unkindness. Faults make single operations fail
// while the process lives: [Disk.FailNext], [Disk.FailEvery], [Disk.Fail],
// [Disk.SetCapacity]. Crashes end the process, and with it every directory and
// file it had open: [Disk.CrashAt], [Disk.Kill], [Disk.PowerCut]. Corruption
// changes what is stored behind everybody's back: [Disk.FlipBit],
// [Disk.ZeroPage], [Disk.Cut], [Disk.Remove].
//
// The operations have names, which faults are given and errors begin with:
//
//	create truncate write sync rename remove removeall mkdir syncdir   counted
//	open size read list close                                    not counted
//
// Those that change the disk, or make a change durable, are counted; they are
// the ones after which a crash can find something new.
package journaltest
