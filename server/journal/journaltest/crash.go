package journaltest

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// blockSize is what a disk writes whole or not at all, in bytes.
const blockSize = 512

// Kill ends the process: what it has written stays, and what it had open is
// dead. Nothing becomes durable by that, so that a power cut afterwards can
// still take it. Faults end with the process; the capacity stays.
func (d *Disk) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.life++
	d.faults = faults{capacity: d.capacity}
}

// PowerCut ends the process and all that was only in memory. What was synced
// stays. Of the rest, rng decides which changes stay, file by file: all, none,
// the first ones, or any of them, since a disk writes in the order it likes. A
// write may stay in part, in blocks of 512 bytes; where the file grew without
// them there are zeroes. Names are decided in the same way: what was made,
// renamed or removed may not have been. A directory that was made and not synced
// may be gone with all in it.
func (d *Disk) PowerCut(rng *rand.Rand) {
	d.Kill()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range sortedKeys(d.dirs) {
		dir := d.dirs[name]
		if dir.lost {
			dir.lost = false
			if rng.IntN(2) == 0 {
				delete(d.dirs, name)
				continue
			}
		}
		survive(rng, len(dir.pending), func(i int, _ bool) { dir.pending[i].apply(dir.durable) })
		dir.names = maps.Clone(dir.durable)
		dir.pending = nil
		for _, name := range sortedKeys(dir.names) {
			f := dir.names[name]
			f.durable = f.afterPowerCut(rng)
			f.data = slices.Clone(f.durable)
			f.pending = nil
		}
	}
}

// CutKeeping ends the process as PowerCut does, and leaves nothing to chance:
// of the changes that were not durable, to files and to names, in their order,
// the last ones stay as the bits of mask say, the lowest bit for the very last,
// and all n or more places before the end stay. It returns how many of the last
// n there were, 1<<that being the number of masks to try.
func (d *Disk) CutKeeping(n int, mask uint64) int {
	d.Kill()
	d.mu.Lock()
	defer d.mu.Unlock()
	numbers := d.unsynced()
	place := func(no int) int { // from the end
		i, _ := slices.BinarySearch(numbers, no)
		return len(numbers) - 1 - i
	}
	keep := func(no int) bool {
		at := place(no)
		return at >= n || mask&(1<<at) != 0
	}
	for _, dir := range d.dirs {
		dir.lost = false
		for _, c := range dir.pending {
			if keep(c.no) {
				c.apply(dir.durable)
			}
		}
		dir.names, dir.pending = maps.Clone(dir.durable), nil
		for _, f := range dir.names {
			for _, w := range f.pending {
				if keep(w.no) {
					f.durable = w.apply(f.durable)
				}
			}
			f.data, f.pending = slices.Clone(f.durable), nil
		}
	}
	return min(n, len(numbers))
}

// unsynced returns the numbers of the changes that are not durable, in order.
func (d *Disk) unsynced() []int {
	var numbers []int
	seen := make(map[*file]bool)
	add := func(f *file) {
		if seen[f] {
			return
		}
		seen[f] = true
		for _, w := range f.pending {
			numbers = append(numbers, w.no)
		}
	}
	for _, dir := range d.dirs {
		for _, c := range dir.pending {
			numbers = append(numbers, c.no)
			add(c.file)
		}
		for _, f := range dir.names {
			add(f)
		}
		for _, f := range dir.durable {
			add(f)
		}
	}
	slices.Sort(numbers)
	return numbers
}

// afterPowerCut returns what may be left of the file.
func (f *file) afterPowerCut(rng *rand.Rand) []byte {
	data := slices.Clone(f.durable)
	survive(rng, len(f.pending), func(i int, torn bool) {
		if w := f.pending[i]; torn {
			data = w.tear(rng, data)
		} else {
			data = w.apply(data)
		}
	})
	return data
}

// survive calls keep for those of n changes, in order, that outlast a power
// cut, and says of each whether only a part of it may.
func survive(rng *rand.Rand, n int, keep func(i int, torn bool)) {
	switch rng.IntN(4) {
	case 0: // none
	case 1: // all
		for i := range n {
			keep(i, false)
		}
	case 2: // the first ones, the last of them in part
		last := rng.IntN(n + 1)
		for i := range last {
			keep(i, i == last-1)
		}
	case 3: // any
		for i := range n {
			if choice := rng.IntN(3); choice > 0 {
				keep(i, choice == 1)
			}
		}
	}
}

// tear returns data after some blocks of the write.
func (w write) tear(rng *rand.Rand, data []byte) []byte {
	if w.p == nil { // a truncation is one change of the length
		return w.apply(data)
	}
	for p, off := w.p, w.off; len(p) > 0; {
		n := min(len(p), int(blockSize-off%blockSize))
		if rng.IntN(2) == 0 {
			data = write{off: off, p: p[:n]}.apply(data)
		}
		p, off = p[n:], off+int64(n)
	}
	if end := w.off + int64(len(w.p)); end > int64(len(data)) && rng.IntN(2) == 0 {
		data = resize(data, end)
	}
	return data
}
